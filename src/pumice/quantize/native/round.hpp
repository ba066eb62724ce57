// Floats become int8 with one scale: activations by groups, keys and values by heads.
#pragma once
#include <math.h>

#include "half.hpp"

namespace pumice {

struct Rounded {
    float scale;
    int32_t sum;  // of the integers
};

// Rounds to the nearest integer, ties to even, for |value| < 2^22: the sum has no bits left for a fraction.
static inline int32_t nearest(float value) { return int32_t(to_bits(value + 12582912.0f)) - 0x4b400000; }

// The largest by size becomes 127 or -127. What is not finite makes the scale NaN, and with it, as in floats, all of them.
// Plain loops: every path's compiler makes vectors of them. All paths give the same integers.
static inline Rounded round_to_int8(const float* x, int64_t count, int8_t* values) {
    constexpr float TINY = 1e-30f;  // below this, 127 / largest would overflow
    float largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; ++i) {
        const float size = fabsf(x[i]);
        largest = size > largest ? size : largest;
    }
    float check = 0;  // NaN if any value is NaN or infinite
#pragma omp simd reduction(+ : check)
    for (int64_t i = 0; i < count; ++i) check += x[i] * 0.0f;
    if (check != 0) {
        for (int64_t i = 0; i < count; ++i) values[i] = 0;
        return {check, 0};
    }
    const float inverse = largest > TINY ? 127.0f / largest : 0.0f;
    int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) {
        const int32_t value = nearest(x[i] * inverse);
        values[i] = int8_t(value);
        sum += value;
    }
    return {largest > TINY ? largest / 127.0f : 0.0f, sum};
}

}  // namespace pumice
