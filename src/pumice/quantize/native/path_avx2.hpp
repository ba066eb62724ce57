// What AVX2 with and without VNNI have in common.
#pragma once
#include <immintrin.h>

#include "cpu.hpp"
#include "path.hpp"

namespace pumice {
namespace {

struct Avx2 {
    static constexpr int LANES = 8, ZERO8 = 0, MOST = 2, STREAMS = 1;
    using Ints = __m256i;
    using Floats = __m256;
    using Bytes = __m256i;

    static Floats zero() { return _mm256_setzero_ps(); }
    static Ints broadcast(int32_t value) { return _mm256_set1_epi32(value); }
    static Floats spread(float value) { return _mm256_set1_ps(value); }
    static Bytes load(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
    static Floats load(const float* from) { return _mm256_loadu_ps(from); }
    static Floats widen(const uint16_t* from) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    }
    static Floats widen(const int8_t* from) {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
    }
    static float total(Floats floats) {
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(floats), _mm256_extractf128_ps(floats, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    static void totals(const Floats (&four)[4], float* to) { each_total<Avx2>(four, to); }
    static Bytes repeat(const int8_t* from) {
        int32_t four;
        std::memcpy(&four, from, 4);
        return _mm256_set1_epi32(four);
    }
    static Floats halves(const uint8_t* from) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    }
    static void store(uint8_t* to, Bytes bytes) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes); }
    static void store(float* to, Floats floats) { _mm256_storeu_ps(to, floats); }
    static void prefetch(const uint8_t* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }
    static Bytes low_halves(Bytes both) { return _mm256_and_si256(both, _mm256_set1_epi8(15)); }
    static Bytes high_halves(Bytes both) {
        return _mm256_and_si256(_mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
    }
    // Pairs are added with saturation to 16 bits: 2 * 15 * 127 is far from it.
    static Ints dot4(Ints sum, Bytes weights, Bytes x) {
        const __m256i pairs = _mm256_maddubs_epi16(weights, x);
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    // 2 * 255 * 127 would saturate, 2 * 127 * 127 does not: the weight's sign goes to the activation.
    static Ints dot8(Ints sum, Bytes weights, Bytes x) {
        const __m256i value = _mm256_xor_si256(weights, _mm256_set1_epi8(char(0x80)));
        return dot4(sum, _mm256_abs_epi8(value), _mm256_sign_epi8(x, value));
    }
    static Floats to_float(Ints ints) { return _mm256_cvtepi32_ps(ints); }
    static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return _mm256_fmadd_ps(a, b, sum); }
};

}  // namespace
}  // namespace pumice
