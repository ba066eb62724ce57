// AVX2 with VNNI (Intel since Alder Lake, AMD since Zen 5).
#include "path_avx2.hpp"

namespace pumice {
namespace {

struct Avx2Vnni : Avx2 {
    static constexpr int ZERO8 = 128;
    static Ints dot4(Ints sum, Bytes weights, Bytes x) { return _mm256_dpbusd_avx_epi32(sum, weights, x); }
    static Ints dot8(Ints sum, Bytes weights, Bytes x) { return _mm256_dpbusd_avx_epi32(sum, weights, x); }
};

}  // namespace

extern const Kernels AVX2_VNNI = kernels_of<Avx2Vnni>("avx2-vnni", cpu_has_avx2_vnni);

}  // namespace pumice
