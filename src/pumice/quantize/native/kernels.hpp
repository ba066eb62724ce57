// What every path (one set of machine instructions) provides.
#pragma once
#include <cstdint>

#include "decoder.hpp"
#include "layout.hpp"

namespace pumice {

// Positions from which on unpacking a block once and using it many times is the better way.
static constexpr int64_t MANY = 12;

struct Kernels {
    const char* name;
    bool (*supported)();
    // int8 activations of `rows` rows: x [rows, columns] -> values, scales, sums.
    void (*quantize)(const float* x, int64_t rows, int64_t columns, int group, int8_t* values, float* scales,
                     int32_t* sums);
    // out[m, n] for all m < rows and the output rows n of blocks first..last: weights times activations.
    // `panel` has room for one unpacked block (`panel_bytes`).
    void (*multiply)(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                     uint8_t* panel);
    // One thread's part of a decode step.
    void (*step)(const Decoder& decoder, const Step& step, const Shared& shared, const Thread& thread);
    // Rows of floats -> integers and scales in the format on disk (see pumice_native.h).
    void (*encode)(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales);
};

static inline int64_t panel_bytes(const Weights& w) { return block_bytes(8, w.columns, w.group); }

// The paths of this build, best first; the last one runs everywhere.
extern const Kernels* const PATHS[];
extern const int PATH_COUNT;

// The path in use.
const Kernels& path();

}  // namespace pumice
