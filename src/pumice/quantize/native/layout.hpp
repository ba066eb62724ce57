// How quantised weights lie in memory: the one place that knows it.
//
// Output rows come in blocks of 32; the last block is filled up with zeros. A block is a run of groups, one for every
// `group` columns:
//
//     32 scales (fp16), then steps of 32 lanes with 4 bytes each, lane by lane
//     8 bit: a step holds 4 columns, a lane's bytes are columns k..k+3, stored as value + 128
//     4 bit: a step holds 8 columns, the low halves of a lane's bytes are columns k..k+3, the high halves k+4..k+7,
//            stored as value + 8
//
// 32 lanes are two vectors of AVX-512, four of AVX2, eight of NEON: every path reads the same bytes.
#pragma once
#include <cstdint>

namespace pumice {

static constexpr int BLOCK = 32;             // output rows of a block
static constexpr int SCALES = BLOCK * 2;     // bytes of a group's scales
static constexpr int STEP = BLOCK * 4;       // bytes of a step
static constexpr int BFLOAT16 = 0, FLOAT16 = 1;  // what the group of 16-bit weights says
static constexpr int LONGEST_GROUP = 256;    // columns that can share a scale

// Positions from which on unpacking weights once and using them many times is the better way.
static constexpr int64_t MANY = 12;

static constexpr int columns_per_step(int bits) { return bits == 4 ? 8 : 4; }

static constexpr int64_t group_bytes(int bits, int group) { return SCALES + int64_t(group) * BLOCK * bits / 8; }

static constexpr int64_t blocks(int64_t rows) { return (rows + BLOCK - 1) / BLOCK; }

static constexpr int64_t block_bytes(int bits, int64_t columns, int group) {
    return columns / group * group_bytes(bits, group);
}

// Weights of one linear layer: rows x columns, packed. Those of 16 bits lie row by row, as on disk, and have no groups.
struct Weights {
    const uint8_t* data;
    int bits;
    int64_t rows, columns;
    int group;
};

static inline int64_t groups_of(const Weights& w) { return w.columns / w.group; }
static inline int64_t block_bytes_of(const Weights& w) { return block_bytes(w.bits, w.columns, w.group); }

// Activations of `rows` positions as int8, symmetric per position and group. Row-major.
struct Activations {
    const int8_t* values;    // [rows, columns]
    const float* scales;     // [rows, groups]
    const int32_t* starts;   // [rows, groups]: what a sum of products begins with, as weights are stored too large
    int64_t columns, groups;
};

}  // namespace pumice
