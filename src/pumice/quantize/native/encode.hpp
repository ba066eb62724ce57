// Floats become integers: the search for the scale of each group.
#pragma once
#include <algorithm>
#include <cmath>

#include "half.hpp"

namespace pumice {

// The integers of a group for scale 1 / inverse, and how well the best scale for exactly these integers does:
// returns that scale and, in `gain`, by how much the squared error falls below that of all zeros.
static inline float fit(const float* w, int group, float inverse, int lowest, int highest, float& gain) {
    float product = 0, square = 0;
#pragma omp simd reduction(+ : product, square)
    for (int i = 0; i < group; ++i) {
        const float value = std::min(float(highest), std::max(float(lowest), (w[i] * inverse + 12582912.0f) - 12582912.0f));
        product += w[i] * value;
        square += value * value;
    }
    gain = square > 0 ? product * product / square : 0;
    return square > 0 ? product / square : 0;
}

// 4 bits: the largest weight by size becomes -8 or thereabouts. Around that, the scale with the least squared error.
static inline float best_scale4(const float* w, int group) {
    float extreme = 0;
    for (int i = 0; i < group; ++i)
        if (std::fabs(w[i]) > std::fabs(extreme)) extreme = w[i];
    if (extreme == 0) return 0;
    float best = 0, most = -1;
    for (int tenths = -16; tenths <= 8; tenths += 2) {
        for (const float sign : {-1.0f, 1.0f}) {
            float gain;
            const float scale = fit(w, group, sign * (8.0f + 0.1f * float(tenths)) / extreme, -8, 7, gain);
            if (gain > most) most = gain, best = scale;
        }
    }
    return best;
}

static inline float best_scale8(const float* w, int group) {
    float largest = 0;
#pragma omp simd reduction(max : largest)
    for (int i = 0; i < group; ++i) largest = std::max(largest, std::fabs(w[i]));
    return largest / 127.0f;
}

// One row in the format on disk. 4 bit: two columns a byte, the even one low, stored as value + 8. 8 bit: int8.
static inline void encode_row(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales) {
    for (int64_t g = 0; g < columns / group; ++g, w += group) {
        const uint16_t half = to_fp16(bits == 4 ? best_scale4(w, group) : best_scale8(w, group));
        const float scale = from_fp16(half), inverse = scale != 0 ? 1.0f / scale : 0.0f;
        const float lowest = bits == 4 ? -8.0f : -127.0f, highest = bits == 4 ? 7.0f : 127.0f;
        scales[g] = half;
        int32_t whole[2];
        for (int i = 0; i < group; i += 2) {
            for (int j = 0; j < 2; ++j)
                whole[j] = int32_t(std::nearbyint(std::min(highest, std::max(lowest, w[i + j] * inverse))));
            if (bits == 4) *values++ = uint8_t((whole[0] + 8) | (whole[1] + 8) << 4);
            else {
                *values++ = uint8_t(whole[0]);
                *values++ = uint8_t(whole[1]);
            }
        }
    }
}

}  // namespace pumice
