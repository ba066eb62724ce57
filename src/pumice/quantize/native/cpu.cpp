#include "cpu.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#include <cstdint>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace pumice {

#if defined(__x86_64__) || defined(_M_X64)
namespace {

struct Leaf { uint32_t a, b, c, d; };

Leaf cpuid(uint32_t leaf, uint32_t part) {
    Leaf found{0, 0, 0, 0};
#ifdef _MSC_VER
    int all[4];
    __cpuidex(all, int(leaf), int(part));
    found = {uint32_t(all[0]), uint32_t(all[1]), uint32_t(all[2]), uint32_t(all[3])};
#else
    __get_cpuid_count(leaf, part, &found.a, &found.b, &found.c, &found.d);
#endif
    return found;
}

// Registers that the operating system saves when it switches threads (XCR0).
uint64_t saved_registers() {
    if (!(cpuid(1, 0).c >> 27 & 1)) return 0;
#ifdef _MSC_VER
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t(high) << 32 | low;
#endif
}

bool bit(uint32_t word, int index) { return word >> index & 1; }

}  // namespace

bool cpu_has_avx2() {
    const Leaf first = cpuid(1, 0);
    return (saved_registers() & 6) == 6 && bit(cpuid(7, 0).b, 5) && bit(first.c, 12) && bit(first.c, 29);  // FMA, F16C
}

bool cpu_has_avx2_vnni() { return cpu_has_avx2() && bit(cpuid(7, 1).a, 4); }

bool cpu_has_avx512_vnni() {
    const Leaf seventh = cpuid(7, 0);
    const bool all = bit(seventh.b, 16) && bit(seventh.b, 17) && bit(seventh.b, 30) && bit(seventh.b, 31);  // F DQ BW VL
    return cpu_has_avx2() && (saved_registers() & 0xe6) == 0xe6 && all && bit(seventh.c, 11);
}

bool cpu_has_dotprod() { return false; }

#else

bool cpu_has_avx2() { return false; }
bool cpu_has_avx2_vnni() { return false; }
bool cpu_has_avx512_vnni() { return false; }

bool cpu_has_dotprod() {
#if defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#elif defined(__aarch64__) && defined(__APPLE__)
    return true;  // every Apple silicon
#else
    return false;
#endif
}

#endif

}  // namespace pumice
