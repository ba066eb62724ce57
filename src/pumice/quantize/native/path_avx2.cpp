// AVX2 (Intel since Haswell, AMD since Zen).
#include "path_avx2.hpp"

namespace pumice {

extern const Kernels AVX2 = kernels_of<Avx2>("avx2", cpu_has_avx2);

}  // namespace pumice
