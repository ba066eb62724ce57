// The arithmetic, written once over a vector type `V` that each path defines (see path_*.cpp).
//
//   V::LANES                     32-bit lanes of a vector
//   V::ZERO8                     what V::dot8 takes a stored 8-bit weight to be too large by
//   Ints, Floats, Bytes          its kinds of vector
//   dot4(sum, weights, x)        sum + 4 products of each lane; weights 0..15
//   dot8(sum, weights, x)        the same with stored 8-bit weights
//
// A sum of int8 products is exact. What is rounded is added group by group in the order of the columns, whatever the
// number of rows: one row at a time gives bit for bit what many give together.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "encode.hpp"
#include "half.hpp"
#include "kernels.hpp"

namespace pumice {

template <class V, int BITS>
struct Tile {
    using Ints = typename V::Ints;
    using Floats = typename V::Floats;
    using Bytes = typename V::Bytes;
    static constexpr int VECTORS = BLOCK / V::LANES;  // of a block's 32 lanes
    static constexpr int ZERO = BITS == 4 ? 8 : V::ZERO8;
    static constexpr int WIDTH = columns_per_step(BITS);

    // `ROWS` positions times `COUNT` blocks. out[block] points at the first position's 32 results.
    template <int ROWS, int COUNT>
    static void run(const uint8_t* const (&block)[COUNT], const Activations& x, int64_t row, int group,
                    float* const (&out)[COUNT], int64_t out_stride) {
        constexpr int Z = COUNT * VECTORS;
        Floats total[ROWS][Z];
        for (auto& each : total)
            for (auto& vector : each) vector = V::zero();
        const uint8_t* at[COUNT];
        for (int b = 0; b < COUNT; ++b) at[b] = block[b];
        const int8_t* values = x.values + row * x.columns;
        for (int64_t g = 0; g < x.groups; ++g, values += group) {
            Ints sum[ROWS][Z];
            for (int m = 0; m < ROWS; ++m) {
                const Ints start = V::broadcast(-ZERO * x.sums[(row + m) * x.groups + g]);
                for (int z = 0; z < Z; ++z) sum[m][z] = start;
            }
            const uint8_t* scales[COUNT];
            for (int b = 0; b < COUNT; ++b) {
                scales[b] = at[b];
                at[b] += SCALES;
            }
            for (int k = 0; k < group; k += WIDTH) step<ROWS, COUNT>(at, values + k, x.columns, sum);
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

    static constexpr int AHEAD = 2048;  // bytes: the memory's latency times one core's bandwidth
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
    static inline typename V::Ints dot8(typename V::Ints sum, typename V::Bytes weights, typename V::Bytes x) {
        return V::dot4(sum, weights, x);
    }
};

template <class V>
struct Path {
    static void multiply(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                         uint8_t* panel) {
        if (w.bits == 8 || rows < MANY) stream(w, first, last, x, rows, out);
        else each_block<Unpacked<V>, 8>(w, first, last, x, rows, out, panel);
    }

    // For few positions: straight from the packed weights.
    static void stream(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out) {
        if (w.bits == 8) each_block<V, 8>(w, first, last, x, rows, out, nullptr);
        else each_block<V, 4>(w, first, last, x, rows, out, nullptr);
    }

    // Plain loops: every path's compiler makes vectors of them. All paths give the same integers.
    // What is not finite makes its whole group NaN, as it would in floats.
    static void quantize(const float* x, int64_t rows, int64_t columns, int group, int8_t* values, float* scales,
                         int32_t* sums) {
        for (int64_t at = 0; at < rows * columns / group; ++at, x += group, values += group) {
            float largest = 0;
#pragma omp simd reduction(max : largest)
            for (int i = 0; i < group; ++i) largest = std::max(largest, std::fabs(x[i]));
            float check = 0;  // NaN if any value is NaN or infinite
#pragma omp simd reduction(+ : check)
            for (int i = 0; i < group; ++i) check += x[i] * 0.0f;
            if (check != 0) {
                for (int i = 0; i < group; ++i) values[i] = 0;
                scales[at] = check;
                sums[at] = 0;
                continue;
            }
            const float inverse = largest > TINY ? 127.0f / largest : 0.0f;
            int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int i = 0; i < group; ++i) {
                const int32_t value = nearest(x[i] * inverse);
                values[i] = int8_t(value);
                sum += value;
            }
            scales[at] = largest > TINY ? largest / 127.0f : 0.0f;
            sums[at] = sum;
        }
    }

    static void encode(int bits, const float* w, int64_t columns, int group, uint8_t* values, uint16_t* scales) {
        encode_row(bits, w, columns, group, values, scales);
    }

private:
    static constexpr float TINY = 1e-30f;  // below this, 127 / largest would overflow

    // Rounds to the nearest integer, ties to even, for |value| < 2^22: the sum has no bits left for a fraction.
    static inline int32_t nearest(float value) {
        return int32_t(to_bits(value + 12582912.0f)) - 0x4b400000;
    }

    // Activations of about this many bytes stay in the second-level cache while blocks pass by.
    static constexpr int64_t RESIDENT = 1 << 20;

    template <class U, int BITS>
    static void each_block(const Weights& w, int64_t first, int64_t last, const Activations& x, int64_t rows, float* out,
                           uint8_t* panel) {
        const int64_t some = panel ? std::max<int64_t>(U::MOST, RESIDENT / w.columns / U::MOST * U::MOST) : rows;
        for (int64_t from = 0; from < rows; from += some) {
            const int64_t to = std::min(rows, from + some);
            int64_t at = first;
            if (!panel && rows == 1) at = several<U, BITS>(w, first, last, x, out);
            for (; at < last; ++at) {
                const uint8_t* block = w.data + at * block_bytes_of(w);
                if (panel) {
                    unpack<V>(block, groups_of(w), w.group, panel);
                    block = panel;
                }
                one_block<U, BITS>(w, block, at, x, from, to, out);
            }
        }
    }

    // One position: several blocks side by side keep more loads under way. Returns the first block that is left.
    template <class U, int BITS>
    static int64_t several(const Weights& w, int64_t first, int64_t last, const Activations& x, float* out) {
        constexpr int COUNT = U::STREAMS;
        const int64_t whole = std::min(last, w.rows / BLOCK);  // an incomplete last block is written with care
        const int64_t each = std::max<int64_t>(0, whole - first) / COUNT;
        for (int64_t i = 0; i < each; ++i) {
            const uint8_t* block[COUNT];
            float* to[COUNT];
            for (int b = 0; b < COUNT; ++b) {
                block[b] = w.data + (first + b * each + i) * block_bytes_of(w);
                to[b] = out + (first + b * each + i) * BLOCK;
            }
            Tile<U, BITS>::template run<1, COUNT>(block, x, 0, w.group, to, w.rows);
        }
        return first + COUNT * each;
    }

    template <class U, int BITS>
    static void one_block(const Weights& w, const uint8_t* block, int64_t at, const Activations& x, int64_t from,
                          int64_t to, float* out) {
        const int64_t here = std::min<int64_t>(BLOCK, w.rows - at * BLOCK);
        float spare[U::MOST * BLOCK];
        for (int64_t row = from; row < to;) {
            const int64_t left = to - row;
            float* place = here == BLOCK ? out + row * w.rows + at * BLOCK : spare;
            const int64_t stride = here == BLOCK ? w.rows : BLOCK;
            const int64_t done = left >= U::MOST ? U::MOST : left >= 4 && U::MOST > 4 ? 4 : left >= 2 ? 2 : 1;
            if (done == U::MOST) tile<U, BITS, U::MOST>(w, block, x, row, place, stride);
            else if (done == 4) tile<U, BITS, 4>(w, block, x, row, place, stride);
            else if (done == 2) tile<U, BITS, 2>(w, block, x, row, place, stride);
            else tile<U, BITS, 1>(w, block, x, row, place, stride);
            if (here < BLOCK)
                for (int64_t m = 0; m < done; ++m)
                    std::memcpy(out + (row + m) * w.rows + at * BLOCK, spare + m * BLOCK, size_t(here) * sizeof(float));
            row += done;
        }
    }

    template <class U, int BITS, int ROWS>
    static inline void tile(const Weights& w, const uint8_t* block, const Activations& x, int64_t row, float* out,
                            int64_t stride) {
        const uint8_t* const one[1] = {block};
        float* const to[1] = {out};
        Tile<U, BITS>::template run<ROWS, 1>(one, x, row, w.group, to, stride);
    }
};

}  // namespace pumice
