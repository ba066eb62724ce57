// What this processor can do, asked at run time.
#pragma once

namespace pumice {

bool cpu_has_avx512_vnni();
bool cpu_has_avx2_vnni();
bool cpu_has_avx2();
bool cpu_has_dotprod();

}  // namespace pumice
