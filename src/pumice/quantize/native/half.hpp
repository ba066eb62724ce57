// Half-precision numbers as bit patterns, for code that must run on any processor.
//
// `static`, here and in the other headers that paths include: each path is compiled for other machine instructions, and
// the linker must not let one path call a function that was compiled for another. For the same reason their classes have
// no functions of their own unless they depend on a path's vector type, and nothing of the C++ standard library is called:
// its templates would be compiled with this path's instructions.
#pragma once
#include <cstdint>
#include <cstring>

namespace pumice {

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static inline float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float from_bf16(uint16_t half) { return from_bits(uint32_t(half) << 16); }

// Nearest, ties to even; not meant for what is no number.
static inline uint16_t to_bf16(float value) {
    const uint32_t bits = to_bits(value);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float from_fp16(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, rest = half & 0x7fff;
    if (rest >= 0x7c00) return from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    // Shifted into place the exponent is 112 too small; a multiplication corrects it, for subnormal numbers too.
    return from_bits(sign | to_bits(from_bits(rest << 13) * from_bits(0x77800000)));
}

// For finite halves, without a branch: compilers make vectors of it.
static inline float from_finite_fp16(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, rest = half & 0x7fff;
    return from_bits(sign | to_bits(from_bits(rest << 13) * from_bits(0x77800000)));
}

// Nearest half, ties to even; what is too large becomes infinite.
static inline uint16_t to_fp16(float value) {
    const uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return uint16_t(sign | 0x7e00);
    if (size >= 0x477ff000) return uint16_t(sign | 0x7c00);
    if (size < 0x38800000) {  // subnormal: adding a half puts the last bit where it is rounded by the addition itself
        const float aligned = from_bits(size) + 0.5f;
        return uint16_t(sign | (to_bits(aligned) - 0x3f000000));
    }
    return uint16_t(sign | ((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13));
}

}  // namespace pumice
