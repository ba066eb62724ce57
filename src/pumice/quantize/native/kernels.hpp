// What every path (one set of machine instructions) provides.
#pragma once
#include <cstdint>

#include "decoder.hpp"
#include "layout.hpp"

namespace pumice {

struct Kernels {
    const char* name;
    bool (*supported)();
    // `rows` rows of x, [rows, columns], as the weights `w` want them (see Activations).
    void (*quantize)(const Weights& w, const float* x, int64_t rows, int8_t* values, float* scales, int32_t* starts);
    // out[m, n] for all m < rows and the output rows n of blocks first..last: weights times activations.
    // `room` has `room_bytes` bytes, aligned like a vector.
    void (*multiply)(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                     uint8_t* room);
    // One thread's part of a decode step.
    void (*step)(const Decoder& decoder, const Step& step, const Shared& shared, const Thread& thread);
    // Rows of floats -> integers and scales in the format on disk (see pumice_native.h).
    void (*encode)(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales);
};

// Groups of a block whose weights, one byte each, fill half of a small first-level cache.
static inline int64_t groups_of_panel(const Weights& w) { return w.group < 512 ? 512 / w.group : 1; }
// What a thread needs to multiply `rows` positions: their sums, and a panel.
static inline int64_t room_bytes(const Weights& w, int64_t rows) {
    return rows < MANY ? 0 : rows * BLOCK * int64_t(sizeof(float)) + groups_of_panel(w) * group_bytes(8, w.group);
}

// The paths of this build, best first; the last one runs everywhere.
extern const Kernels* const PATHS[];
extern const int PATH_COUNT;

// The path in use.
const Kernels& path();

}  // namespace pumice
