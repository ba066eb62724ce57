// AVX-512 with VNNI (Intel since Cascade Lake, AMD since Zen 4).
#include <immintrin.h>

#include "cpu.hpp"
#include "path.hpp"

namespace pumice {
namespace {

struct Avx512 {
    static constexpr int LANES = 16, ZERO8 = 128, MOST = 6, STREAMS = 4;
    using Ints = __m512i;
    using Floats = __m512;
    using Bytes = __m512i;

    static Floats zero() { return _mm512_setzero_ps(); }
    static Ints broadcast(int32_t value) { return _mm512_set1_epi32(value); }
    static Floats spread(float value) { return _mm512_set1_ps(value); }
    static Bytes load(const uint8_t* from) { return _mm512_loadu_si512(from); }
    static Floats load(const float* from) { return _mm512_loadu_ps(from); }
    static Floats widen(const uint16_t* from) {
        const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
    static Floats widen(const int8_t* from) {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
    }
    static float total(Floats floats) { return _mm512_reduce_add_ps(floats); }
    // Pairs, then fours, then the four quarters: a third of the shuffles that four separate sums would take.
    static void totals(const Floats (&four)[4], float* to) {
        const Floats ab = _mm512_add_ps(_mm512_unpacklo_ps(four[0], four[1]), _mm512_unpackhi_ps(four[0], four[1]));
        const Floats cd = _mm512_add_ps(_mm512_unpacklo_ps(four[2], four[3]), _mm512_unpackhi_ps(four[2], four[3]));
        const __m512d one = _mm512_castps_pd(ab), other = _mm512_castps_pd(cd);
        const Floats all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(one, other)),
                                         _mm512_castpd_ps(_mm512_unpackhi_pd(one, other)));
        const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
        _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
    }
    static Bytes repeat(const int8_t* from) {
        int32_t four;
        std::memcpy(&four, from, 4);
        return _mm512_set1_epi32(four);
    }
    static Floats halves(const uint8_t* from) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    }
    static void store(uint8_t* to, Bytes bytes) { _mm512_storeu_si512(to, bytes); }
    static void store(float* to, Floats floats) { _mm512_storeu_ps(to, floats); }
    static void prefetch(const uint8_t* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }
    static Bytes low_halves(Bytes both) { return _mm512_and_si512(both, _mm512_set1_epi8(15)); }
    static Bytes high_halves(Bytes both) {
        return _mm512_and_si512(_mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
    }
    static Ints dot4(Ints sum, Bytes weights, Bytes x) {
#ifdef __GNUC__  // GCC copies the sum before and after the intrinsic, and is then busy with nothing but copies
        asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
        return sum;
#else
        return _mm512_dpbusd_epi32(sum, weights, x);
#endif
    }
    static Ints dot8(Ints sum, Bytes weights, Bytes x) { return dot4(sum, weights, x); }
    static Floats to_float(Ints ints) { return _mm512_cvtepi32_ps(ints); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
};

}  // namespace

extern const Kernels AVX512 = kernels_of<Avx512>("avx512-vnni", cpu_has_avx512_vnni);

}  // namespace pumice
