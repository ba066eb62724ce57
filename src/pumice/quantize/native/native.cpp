#include "pumice_native.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "half.hpp"
#include "kernels.hpp"
#include "pool.hpp"

namespace pumice {

extern const Kernels PORTABLE;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels AVX512, AVX2_VNNI, AVX2;
const Kernels* const PATHS[] = {&AVX512, &AVX2_VNNI, &AVX2, &PORTABLE};
#elif defined(PUMICE_NEON)
extern const Kernels NEON;
const Kernels* const PATHS[] = {&NEON, &PORTABLE};
#else
const Kernels* const PATHS[] = {&PORTABLE};
#endif
const int PATH_COUNT = int(sizeof PATHS / sizeof *PATHS);

namespace {

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

const Kernels& path() {
    const Kernels* found = chosen.load(std::memory_order_acquire);
    for (int at = 0; !found; ++at)
        if (PATHS[at]->supported()) chosen.store(found = PATHS[at], std::memory_order_release);
    return *found;
}

namespace {

bool possible(int32_t bits, int64_t rows, int64_t columns, int32_t group) {
    const bool groups = group >= 8 && group <= LONGEST_GROUP && group % 8 == 0;
    return rows > 0 && columns > 0 && groups && columns % group == 0 && (bits == 4 || bits == 8);
}

// Part `index` of `count` equal parts of 0..total.
int64_t border(int64_t total, int index, int count) { return total * index / count; }

// The four bytes of a lane that hold the columns from `column` on (see layout.hpp), from the format on disk.
uint32_t lane_word(const Weights& w, const uint8_t* values, int64_t row, int64_t column) {
    if (row >= w.rows) return w.bits == 4 ? 0x88888888u : 0x80808080u;
    uint32_t word;
    std::memcpy(&word, values + (row * w.columns + column) * w.bits / 8, 4);
    if (w.bits == 8) return word ^ 0x80808080u;
    // Eight halves of bytes in a row: the first four become the low halves, the others the high ones.
    const auto spread = [](uint32_t four) {
        four = (four | four << 8) & 0x00FF00FFu;
        return (four | four << 4) & 0x0F0F0F0Fu;
    };
    return spread(word & 0xFFFF) | spread(word >> 16) << 4;
}

void pack_block(const Weights& w, const uint8_t* values, const uint16_t* scales, int64_t block, uint8_t* to) {
    const int width = columns_per_step(w.bits);
    for (int64_t g = 0; g < groups_of(w); ++g) {
        for (int lane = 0; lane < BLOCK; ++lane, to += 2) {
            const int64_t row = block * BLOCK + lane;
            const uint16_t scale = row < w.rows ? scales[row * groups_of(w) + g] : 0;
            std::memcpy(to, &scale, 2);
        }
        for (int64_t k = g * w.group; k < (g + 1) * w.group; k += width)
            for (int lane = 0; lane < BLOCK; ++lane, to += 4) {
                const uint32_t word = lane_word(w, values, block * BLOCK + lane, k);
                std::memcpy(to, &word, 4);
            }
    }
}

// Memory that a thread keeps for its next call.
struct Scratch {
    std::vector<int8_t> values;
    std::vector<float> scales;
    std::vector<int32_t> starts;

    Activations quantized(const Kernels& kernels, const Weights& w, const float* x, int64_t rows) {
        const int64_t groups = groups_of(w);
        values.resize(size_t(rows * w.columns));
        scales.resize(size_t(rows * groups));
        starts.resize(size_t(rows * groups));
        const auto part = [&](int index, int count) {
            const int64_t from = border(rows, index, count), to = border(rows, index + 1, count);
            kernels.quantize(w, x + from * w.columns, to - from, values.data() + from * w.columns,
                             scales.data() + from * groups, starts.data() + from * groups);
        };
        if (rows < 2 * MANY) part(0, 1);  // too little to wake anyone for
        else together(part);
        return {values.data(), scales.data(), starts.data(), w.columns, groups};
    }
};

}  // namespace
}  // namespace pumice

using namespace pumice;

int32_t pumice_interface(void) { return 5; }

const char* pumice_path(void) { return path().name; }

const char* pumice_paths(void) {
    static const std::string all = [] {
        std::string names;
        for (int at = 0; at < PATH_COUNT; ++at)
            if (PATHS[at]->supported()) names += (names.empty() ? "" : ",") + std::string(PATHS[at]->name);
        return names;
    }();
    return all.c_str();
}

int32_t pumice_choose_path(const char* name) {
    for (int at = 0; at < PATH_COUNT; ++at)
        if (std::strcmp(PATHS[at]->name, name) == 0 && PATHS[at]->supported()) {
            chosen.store(PATHS[at], std::memory_order_release);
            return 0;
        }
    return -1;
}

void pumice_set_threads(int32_t count) { set_threads(count); }

int32_t pumice_threads(void) { return threads(); }

int32_t pumice_encode(int32_t bits, const float* weights, int64_t rows, int64_t columns, int32_t group, uint8_t* values,
                      uint16_t* scales) {
    if (!possible(bits, rows, columns, group)) return -1;
    const Kernels& kernels = path();
    together([&](int index, int count) {
        for (int64_t row = border(rows, index, count); row < border(rows, index + 1, count); ++row)
            kernels.encode(bits, weights + row * columns, columns, group, values + row * columns * bits / 8,
                           scales + row * (columns / group));
    });
    return 0;
}

int64_t pumice_packed_bytes(int32_t bits, int64_t rows, int64_t columns, int32_t group) {
    return possible(bits, rows, columns, group) ? blocks(rows) * block_bytes(bits, columns, group) : -1;
}

int32_t pumice_pack(int32_t bits, const uint8_t* values, const uint16_t* scales, int64_t rows, int64_t columns,
                    int32_t group, uint8_t* packed) {
    if (!possible(bits, rows, columns, group)) return -1;
    const Weights w{packed, bits, rows, columns, group};
    together([&](int index, int count) {
        const int64_t all = blocks(rows);
        for (int64_t block = border(all, index, count); block < border(all, index + 1, count); ++block)
            pack_block(w, values, scales, block, packed + block * block_bytes_of(w));
    });
    return 0;
}

int32_t pumice_linear(int32_t bits, const uint8_t* packed, int64_t rows, int64_t columns, int32_t group, const float* x,
                      int64_t positions, const float* bias, float* out) {
    if (!possible(bits, rows, columns, group) || positions < 0) return -1;
    if (positions == 0) return 0;
    const Kernels& kernels = path();
    const Weights w{packed, bits, rows, columns, group};
    thread_local Scratch scratch;
    const Activations rounded = scratch.quantized(kernels, w, x, positions);
    together([&](int index, int count) {
        thread_local std::vector<uint8_t> room;
        room.resize(std::max(room.size(), size_t(room_bytes(w, positions)) + 64));
        uint8_t* aligned = room.data() + (-reinterpret_cast<uintptr_t>(room.data()) & 63);
        const int64_t all = blocks(rows), first = border(all, index, count), last = border(all, index + 1, count);
        kernels.multiply(w, first, last, rounded, positions, out, aligned);
        if (!bias) return;
        for (int64_t m = 0; m < positions; ++m)
            for (int64_t n = first * BLOCK; n < std::min(rows, last * BLOCK); ++n) out[m * rows + n] += bias[n];
    });
    return 0;
}
