// The arithmetic, written once over a vector type `V` that each path defines (see path_*.cpp).
//
//   V::LANES                     32-bit lanes of a vector
//   V::ZERO8                     what V::dot8 takes a stored 8-bit weight to be too large by
//   Ints, Floats, Bytes          its kinds of vector
//   load(floats), store, spread, multiply, add_product(sum, a, b)
//   dot4(sum, weights, x)        sum + 4 products of each lane; weights 0..15
//   dot8(sum, weights, x)        the same with stored 8-bit weights
//
// A sum of int8 products is exact. What is rounded is added group by group in the order of the columns, whatever the
// number of rows: one row at a time gives bit for bit what many give together.
#pragma once
#include <cstring>

#include "encode.hpp"
#include "half.hpp"
#include "kernels.hpp"
#include "round.hpp"

namespace pumice {

template <class V, int BITS>
struct Tile {
    using Ints = typename V::Ints;
    using Floats = typename V::Floats;
    using Bytes = typename V::Bytes;
    static constexpr int VECTORS = BLOCK / V::LANES;  // of a block's 32 lanes
    static constexpr int ZERO = BITS == 4 ? 8 : V::ZERO8;
    static constexpr int WIDTH = columns_per_step(BITS);

    // `ROWS` positions times `COUNT` blocks, of which `block` points at group `first`. out[block] points at the first
    // position's 32 results; the groups before `first` are in them already. GROUP is `group`, or 0 for any.
    template <int ROWS, int COUNT, int GROUP>
    static void run(const uint8_t* const (&block)[COUNT], const Activations& x, int64_t row, int any_group,
                    int64_t first, int64_t last, float* const (&out)[COUNT], int64_t out_stride) {
        constexpr int Z = COUNT * VECTORS;
        const int group = GROUP ? GROUP : any_group;
        Floats total[ROWS][Z];
        for (int m = 0; m < ROWS; ++m)
            for (int z = 0; z < Z; ++z)
                total[m][z] = first ? V::load(out[z / VECTORS] + m * out_stride + z % VECTORS * V::LANES) : V::zero();
        const uint8_t* at[COUNT];
        for (int b = 0; b < COUNT; ++b) at[b] = block[b];
        const int8_t* values = x.values + row * x.columns + first * group;
        for (int64_t g = first; g < last; ++g, values += group) {
            Ints sum[ROWS][Z];
            for (int m = 0; m < ROWS; ++m) {
                const Ints start = V::broadcast(x.starts[(row + m) * x.groups + g]);
                for (int z = 0; z < Z; ++z) sum[m][z] = start;
            }
            const uint8_t* scales[COUNT];
            for (int b = 0; b < COUNT; ++b) {
                scales[b] = at[b];
                at[b] += SCALES;
            }
            if constexpr (GROUP != 0) {
#pragma GCC unroll 8
                for (int k = 0; k < GROUP; k += WIDTH) step<ROWS, COUNT>(at, values + k, x.columns, sum);
            } else {
                for (int k = 0; k < group; k += WIDTH) step<ROWS, COUNT>(at, values + k, x.columns, sum);
            }
            for (int z = 0; z < Z; ++z) {
                const Floats scale = V::halves(scales[z / VECTORS] + z % VECTORS * V::LANES * 2);
                for (int m = 0; m < ROWS; ++m) {
                    const Floats both = V::multiply(scale, V::spread(x.scales[(row + m) * x.groups + g]));
                    total[m][z] = V::add_product(total[m][z], V::to_float(sum[m][z]), both);
                }
            }
        }
        for (int m = 0; m < ROWS; ++m)
            for (int z = 0; z < Z; ++z)
                V::store(out[z / VECTORS] + m * out_stride + z % VECTORS * V::LANES, total[m][z]);
    }

private:
    template <int ROWS, int COUNT>
    static inline void step(const uint8_t* (&at)[COUNT], const int8_t* values, int64_t columns,
                            typename V::Ints (&sum)[ROWS][COUNT * VECTORS]) {
        constexpr int Z = COUNT * VECTORS;
        Bytes low[Z], high[Z];
        for (int z = 0; z < Z; ++z) {
            const uint8_t* from = at[z / VECTORS] + z % VECTORS * V::LANES * 4;
            const Bytes both = V::load(from);
            V::prefetch(from + AHEAD);
            low[z] = BITS == 4 ? V::low_halves(both) : both;
            if (BITS == 4) high[z] = V::high_halves(both);
        }
        for (int b = 0; b < COUNT; ++b) at[b] += STEP;
        for (int m = 0; m < ROWS; ++m) {
            const Bytes first = V::repeat(values + m * columns);
            for (int z = 0; z < Z; ++z) sum[m][z] = dot(sum[m][z], low[z], first);
            if (BITS == 4) {
                const Bytes second = V::repeat(values + m * columns + 4);
                for (int z = 0; z < Z; ++z) sum[m][z] = dot(sum[m][z], high[z], second);
            }
        }
    }

    static inline Ints dot(Ints sum, Bytes weights, Bytes x) {
        return BITS == 4 ? V::dot4(sum, weights, x) : V::dot8(sum, weights, x);
    }

    static constexpr int AHEAD = 1024;  // bytes: the memory's latency times one core's bandwidth
};

// Copy of a 4-bit block with one byte a weight, which the tiles of 4 columns a step read; the weights stay 0..15.
template <class V>
void unpack(const uint8_t* from, int64_t groups, int group, uint8_t* to) {
    for (int64_t g = 0; g < groups; ++g) {
        std::memcpy(to, from, SCALES);
        from += SCALES;
        to += SCALES;
        for (int k = 0; k < group; k += 8, from += STEP, to += 2 * STEP)
            for (int lane = 0; lane < STEP; lane += V::LANES * 4) {
                const typename V::Bytes both = V::load(from + lane);
                V::store(to + lane, V::low_halves(both));
                V::store(to + STEP + lane, V::high_halves(both));
            }
    }
}

// A 4-bit block that `unpack` has made: steps of 4 columns, weights 0..15.
template <class V>
struct Unpacked : V {
    static constexpr int ZERO8 = 8;
    static inline void prefetch(const uint8_t*) {}  // it has just been written
    static inline typename V::Ints dot8(typename V::Ints sum, typename V::Bytes weights, typename V::Bytes x) {
        return V::dot4(sum, weights, x);
    }
};

template <class V>
struct Path {
    static void multiply(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                         uint8_t* room) {
        if (w.bits == 8) each_block<V, 8>(w, first, last, x, rows, out, room);
        else if (rows < MANY) each_block<V, 4>(w, first, last, x, rows, out, room);
        else each_block<Unpacked<V>, 8>(w, first, last, x, rows, out, room);
    }

    static void quantize(const Weights& w, const float* x, int64_t rows, int8_t* values, float* scales,
                         int32_t* starts) {
        const int group = w.group, zero = w.bits == 4 ? Tile<V, 4>::ZERO : Tile<V, 8>::ZERO;
        for (int64_t at = 0; at < rows * groups_of(w); ++at, x += group, values += group) {
            const Rounded found = round_to_int8(x, group, values);
            scales[at] = found.scale;
            starts[at] = -zero * found.sum;
        }
    }

    static void encode(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales) {
        encode_row(bits, w, columns, group, values, scales);
    }

private:
    template <class U, int BITS>
    static void each_block(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                           uint8_t* room) {
        int64_t at = first;
        if (rows == 1) at = several<U, BITS>(w, first, last, x, out);
        for (; at < last; ++at) {
            const int64_t here = smaller(BLOCK, w.rows - at * BLOCK);
            const uint8_t* block = w.data + at * block_bytes_of(w);
            float few[MANY * BLOCK];
            float* sums = few;
            if (rows >= MANY) {
                sums = reinterpret_cast<float*>(room);
                by_pieces<U, BITS>(w, block, x, rows, sums, room + rows * BLOCK * sizeof(float));
            } else if (here == BLOCK) {
                some_rows<U, BITS>(w, block, x, {0, x.groups}, rows, out + at * BLOCK, w.rows);
                continue;
            } else {
                some_rows<U, BITS>(w, block, x, {0, x.groups}, rows, sums, BLOCK);
            }
            for (int64_t m = 0; m < rows; ++m)
                std::memcpy(out + m * w.rows + at * BLOCK, sums + m * BLOCK, size_t(here) * sizeof(float));
        }
    }

    // Many positions pass by a piece of a block that stays in the first-level cache. Their sums lie together: in `out` they
    // would be far apart and push each other out of the cache.
    template <class U, int BITS>
    static void by_pieces(const Weights& w, const uint8_t* block, const Activations& x, int64_t rows, float* sums,
                          uint8_t* panel) {
        for (int64_t group = 0; group < x.groups; group += groups_of_panel(w)) {
            const int64_t end = smaller(x.groups, group + groups_of_panel(w));
            const uint8_t* piece = block + group * group_bytes(w.bits, w.group);
            if (w.bits == 4) {
                unpack<V>(piece, end - group, w.group, panel);
                piece = panel;
            }
            some_rows<U, BITS>(w, piece, x, {group, end}, rows, sums, BLOCK);
        }
    }

    // One position: several blocks side by side keep more loads under way. Returns the first block that is left.
    template <class U, int BITS>
    static int64_t several(const Weights& w, int64_t first, int64_t last, const Activations& x, float* out) {
        constexpr int COUNT = U::STREAMS;
        const int64_t whole = smaller(last, w.rows / BLOCK);  // an incomplete last block is written with care
        const int64_t each = larger(0, whole - first) / COUNT;
        for (int64_t i = 0; i < each; ++i) {
            const uint8_t* block[COUNT];
            float* to[COUNT];
            for (int b = 0; b < COUNT; ++b) {
                block[b] = w.data + (first + b * each + i) * block_bytes_of(w);
                to[b] = out + (first + b * each + i) * BLOCK;
            }
            if (w.group == 32) Tile<U, BITS>::template run<1, COUNT, 32>(block, x, 0, 32, 0, x.groups, to, w.rows);
            else Tile<U, BITS>::template run<1, COUNT, 0>(block, x, 0, w.group, 0, x.groups, to, w.rows);
        }
        return first + COUNT * each;
    }

    struct Groups {
        int64_t first, last;
    };

    // `block` points at the first of `groups`.
    template <class U, int BITS>
    static void some_rows(const Weights& w, const uint8_t* block, const Activations& x, Groups groups, int64_t rows,
                          float* out, int64_t stride) {
        for (int64_t row = 0; row < rows;) {
            const int64_t left = rows - row;
            const int64_t done = left >= U::MOST ? U::MOST : left >= 4 && U::MOST > 4 ? 4 : left >= 2 ? 2 : 1;
            float* to = out + row * stride;
            if (done == U::MOST) tile<U, BITS, U::MOST>(w, block, x, row, groups, to, stride);
            else if (done == 4) tile<U, BITS, 4>(w, block, x, row, groups, to, stride);
            else if (done == 2) tile<U, BITS, 2>(w, block, x, row, groups, to, stride);
            else tile<U, BITS, 1>(w, block, x, row, groups, to, stride);
            row += done;
        }
    }

    template <class U, int BITS, int ROWS>
    static inline void tile(const Weights& w, const uint8_t* block, const Activations& x, int64_t row, Groups groups,
                            float* out, int64_t stride) {
        const uint8_t* const one[1] = {block};
        float* const to[1] = {out};
        const auto [first, last] = groups;
        if (w.group == 32) Tile<U, BITS>::template run<ROWS, 1, 32>(one, x, row, 32, first, last, to, stride);
        else Tile<U, BITS>::template run<ROWS, 1, 0>(one, x, row, w.group, first, last, to, stride);
    }
};

}  // namespace pumice
