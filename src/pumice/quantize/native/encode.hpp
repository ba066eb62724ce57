// Floats become integers: the search for the scale of each group.
#pragma once
#include <math.h>

#include "half.hpp"
#include "layout.hpp"

namespace pumice {

// Groups whose scales are searched side by side: what one instruction does to all of them lies together, and every
// width of vectors adds in the same order.
static constexpr int TOGETHER = 16;

// The smallest whole number that the largest weight of a group may become in 8 bits.
static constexpr int LEAST_TOP = 120;

static inline float between(float lowest, float value, float highest) {
    return value < lowest ? lowest : value > highest ? highest : value;
}

// Adding and taking away 1.5 * 2^23 rounds to a whole number, halves to even.
static inline float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

// Groups first..first + TOGETHER of a row, column by column; beyond `count` they are zero.
static inline void turn(const float* w, int group, int count, float* turned) {
    for (int i = 0; i < group; ++i)
        for (int lane = 0; lane < TOGETHER; ++lane)
            turned[i * TOGETHER + lane] = lane < count ? w[int64_t(lane) * group + i] : 0.0f;
}

// The weight of each group that is largest by size, with its sign.
static inline void extremes(const float* turned, int group, float* extreme) {
    for (int lane = 0; lane < TOGETHER; ++lane) extreme[lane] = 0;
    for (int i = 0; i < group; ++i)
        for (int lane = 0; lane < TOGETHER; ++lane) {
            const float w = turned[i * TOGETHER + lane];
            extreme[lane] = fabsf(w) > fabsf(extreme[lane]) ? w : extreme[lane];
        }
}

// 8 bits: the largest weight by size becomes 127 or one of the whole numbers below; the one with the least squared error.
static inline void best_scales8(const float* turned, int group, float* best) {
    float extreme[TOGETHER], least[TOGETHER], scale[TOGETHER], inverse[TOGETHER];
    extremes(turned, group, extreme);
    for (int lane = 0; lane < TOGETHER; ++lane) best[lane] = 0, least[lane] = INFINITY;
    for (int top = 127; top >= LEAST_TOP; --top) {
        float errors[TOGETHER] = {};
        for (int lane = 0; lane < TOGETHER; ++lane) {
            scale[lane] = from_fp16(to_fp16(fabsf(extreme[lane]) / float(top)));
            inverse[lane] = scale[lane] > 0 ? 1.0f / scale[lane] : 0.0f;
        }
        for (int i = 0; i < group; ++i) {
#pragma omp simd
            for (int lane = 0; lane < TOGETHER; ++lane) {
                const float w = turned[i * TOGETHER + lane];
                const float off = w - between(-127, rounded(w * inverse[lane]), 127) * scale[lane];
                errors[lane] += off * off;
            }
        }
        for (int lane = 0; lane < TOGETHER; ++lane) {
            const bool better = errors[lane] < least[lane];
            best[lane] = better ? scale[lane] : best[lane];
            least[lane] = better ? errors[lane] : least[lane];
        }
    }
}

// What the integers of a group for scale 1 / inverse have in common with its weights: their product and their square.
static inline void compare(const float* turned, int group, const float* inverse, float* product, float* square) {
    float products[TOGETHER] = {}, squares[TOGETHER] = {};
    for (int i = 0; i < group; ++i) {
#pragma omp simd
        for (int lane = 0; lane < TOGETHER; ++lane) {
            const float w = turned[i * TOGETHER + lane];
            const float value = between(-8, rounded(w * inverse[lane]), 7);
            products[lane] += w * value;
            squares[lane] += value * value;
        }
    }
    for (int lane = 0; lane < TOGETHER; ++lane) product[lane] = products[lane], square[lane] = squares[lane];
}

// 4 bits: the largest weight by size becomes -8 or thereabouts. Around that, and for each the best scale for exactly
// the integers it gives, the scale with the least squared error: the one with the largest product^2 / square.
static inline void best_scales4(const float* turned, int group, float* best) {
    float extreme[TOGETHER], most[TOGETHER], inverse[TOGETHER], product[TOGETHER], square[TOGETHER];
    extremes(turned, group, extreme);
    for (int lane = 0; lane < TOGETHER; ++lane) best[lane] = 0, most[lane] = -1;
    for (float& each : extreme) each = each == 0 ? 1.0f : each;
    for (int tenths = -16; tenths <= 8; tenths += 2) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const float wanted = float(sign) * (8.0f + 0.1f * float(tenths));
            for (int lane = 0; lane < TOGETHER; ++lane) inverse[lane] = wanted / extreme[lane];
            compare(turned, group, inverse, product, square);
            for (int lane = 0; lane < TOGETHER; ++lane) {
                const float divisor = square[lane] > 0 ? square[lane] : 1.0f;
                const float gain = product[lane] * product[lane] / divisor;
                const bool better = square[lane] > 0 && gain > most[lane];
                best[lane] = better ? product[lane] / divisor : best[lane];
                most[lane] = better ? gain : most[lane];
            }
        }
    }
}

// A group's integers in the format on disk. 4 bit: two columns a byte, the even one low, stored as value + 8. 8 bit: int8.
static inline void write_group(int bits, const float* w, int group, float scale, uint8_t* values) {
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    const float lowest = bits == 4 ? -8.0f : -127.0f, highest = bits == 4 ? 7.0f : 127.0f;
    const auto whole = [&](int i) {
        return int32_t(between(lowest, rounded(w[i] * inverse), highest));
    };
    if (bits == 8) {
        for (int i = 0; i < group; ++i) values[i] = uint8_t(whole(i));
        return;
    }
    for (int i = 0; i < group / 2; ++i) values[i] = uint8_t((whole(2 * i) + 8) | (whole(2 * i + 1) + 8) << 4);
}

// One row in the format on disk.
static inline void encode_row(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales) {
    alignas(64) float turned[LONGEST_GROUP * TOGETHER];
    float best[TOGETHER];
    const int64_t groups = columns / group;
    for (int64_t g = 0; g < groups; ++g, w += group, values += group * bits / 8) {
        const int lane = int(g % TOGETHER);
        if (lane == 0) {
            turn(w, group, groups - g < TOGETHER ? int(groups - g) : TOGETHER, turned);
            if (bits == 8) best_scales8(turned, group, best);
            else best_scales4(turned, group, best);
        }
        scales[g] = to_fp16(best[lane]);
        write_group(bits, w, group, from_fp16(scales[g]), values);
    }
}

}  // namespace pumice
