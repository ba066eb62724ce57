// Attention of one group of heads over its cache, written once over a vector type `V` (see tile.hpp) that also has
//
//   widen(from)     LANES bfloat16 numbers, or int8 ones, as floats
//   total(floats)   the sum of a vector
//   totals(four)    the sums of four vectors
//
// Few rows: one query after the other, keys and values straight from the cache. Many rows, positions of one text: keys
// and values are widened once, keys turned as well, and tiles of queries pass by. A row's result does not depend on the
// rows beside it.
#pragma once
#include <math.h>

#include <cstdint>

#include "half.hpp"
#include "layout.hpp"

namespace pumice {

// e^x for x <= 0 (Cephes' polynomial, relative error about 1e-7); all below -87 is as good as 0.
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;  // what is no number stays none
    const float turns = x * 1.44269504f + 12582912.0f, whole = turns - 12582912.0f;
    const float rest = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float sum = 1.9875691500e-4f;
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    const int32_t exponent = int32_t(to_bits(turns)) - 0x4b400000 + 127;
    return (sum * rest * rest + rest + 1.0f) * from_bits(uint32_t(exponent) << 23);
}

// Scores become weights times the sum that is returned.
static inline float soften(float* scores, int64_t seen, float scale) {
    float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (int64_t t = 0; t < seen; ++t) largest = scores[t] > largest ? scores[t] : largest;
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t t = 0; t < seen; ++t) {
        scores[t] = exponential((scores[t] - largest) * scale);
        total += scores[t];
    }
    return total;
}

// The heads that share keys and values, and those: [positions, size] of bfloat16, for which T is uint16_t, or of int8 with
// a scale for each position.
template <class T>
struct HeadGroup {
    int64_t heads, size;
    const T *keys, *values;
    const float *key_scales, *value_scales;  // [positions], or null
};

// Floats between two keys in the turned copy: whole vectors, and an odd number of them, because powers of two would all
// want the same lines of the cache.
static inline int64_t turned_stride(int64_t seen) { return ((seen + 63) / 64 * 4 + 1) * 16; }

static constexpr int QUERIES = 6;  // rows of a tile
static constexpr int KEYS = 4;     // keys side by side for one query

// `V::totals` for paths that have nothing better.
template <class V>
static inline void each_total(const typename V::Floats (&four)[4], float* to) {
    for (int i = 0; i < 4; ++i) to[i] = V::total(four[i]);
}

namespace {

// A head whose size is no multiple of the vectors'.
struct Single {
    static constexpr int LANES = 1;
    using Floats = float;
    static float zero() { return 0; }
    static float spread(float value) { return value; }
    static float load(const float* from) { return *from; }
    static float widen(const uint16_t* from) { return from_bf16(*from); }
    static float widen(const int8_t* from) { return float(*from); }
    static void store(float* to, float value) { *to = value; }
    static float multiply(float a, float b) { return a * b; }
    static float add_product(float sum, float a, float b) { return sum + a * b; }
    static float total(float value) { return value; }
    static void totals(const float (&four)[4], float* to) { each_total<Single>(four, to); }
};

}  // namespace

template <class V, class T>
struct Attention {
    using Floats = typename V::Floats;
    using Group = HeadGroup<T>;
    static constexpr int64_t L = V::LANES;
    static constexpr bool SCALED = sizeof(T) == 1;

    // One row's queries [heads, size] -> out [heads, size]. scores: [heads, seen]; some: [KEYS, size].
    static void few(const Group& g, const float* query, int64_t seen, float* scores, float* some, float* out) {
        for (int64_t t = 0; t < seen;) {
            const int64_t count = seen - t >= KEYS ? KEYS : 1;
            for (int64_t i = 0; i < count * g.size; i += L) V::store(some + i, V::widen(g.keys + t * g.size + i));
            for (int64_t h = 0; h < g.heads; ++h) {
                if (count == KEYS) dots<KEYS>(query + h * g.size, some, g.size, scores + h * seen + t);
                else dots<1>(query + h * g.size, some, g.size, scores + h * seen + t);
            }
            t += count;
        }
        for (int64_t h = 0; h < g.heads;) {
            const int64_t done = g.heads - h >= 4 ? 4 : 1;
            float total[4];
            for (int64_t i = 0; i < done; ++i) total[i] = weigh(g, scores + (h + i) * seen, seen);
            const Source source{scores + h * seen, seen, nullptr, g.values, g.size};
            if (done == 4) all_columns<4>(source, seen, total, out + h * g.size, g.size);
            else all_columns<1>(source, seen, total, out + h * g.size, g.size);
            h += done;
        }
    }

    // Copies for `many`: turned [size, turned_stride], wide [seen, size].
    static void prepare(const Group& g, int64_t seen, float* turned, float* wide) {
        const int64_t stride = turned_stride(seen);
        widen_all(g.keys, g.key_scales, seen, g.size, wide);
        for (int64_t i = 0; i < g.size; ++i) {
            for (int64_t t = 0; t < seen; ++t) turned[i * stride + t] = wide[t * g.size + i];
            for (int64_t t = seen; t < stride; ++t) turned[i * stride + t] = 0;
        }
        widen_all(g.values, g.value_scales, seen, g.size, wide);
    }

    // `rows` queries of one head, `between` floats apart, at the positions from `position` on. scores: [QUERIES,
    // turned_stride].
    static void many(const Group& g, const float* query, int64_t rows, int64_t between, int64_t position,
                     const float* turned, const float* wide, int64_t seen, float* scores, float* out) {
        for (int64_t row = 0; row < rows;) {
            const int64_t done = rows - row >= QUERIES ? QUERIES : 1;
            const float* from = query + row * between;
            float* to = out + row * between;
            if (done == QUERIES) tile<QUERIES>(g, from, between, position + row, turned, wide, seen, scores, to);
            else tile<1>(g, from, between, position + row, turned, wide, seen, scores, to);
            row += done;
        }
    }

private:
    // Weights of some queries, `stride` apart, and the values they are for: widened or not.
    struct Source {
        const float* weights;
        int64_t stride;
        const float* wide;
        const T* values;
        int64_t size;

        Floats at(int64_t t, int64_t column) const {
            return wide ? V::load(wide + t * size + column) : V::widen(values + t * size + column);
        }
    };

    static inline float damping(const Group& g) { return 1.0f / sqrtf(float(g.size)); }

    // Products with keys and, in the end, weights for values: the integers' scales go into them.
    static inline float weigh(const Group& g, float* scores, int64_t seen) {
        if constexpr (SCALED) {
#pragma omp simd
            for (int64_t t = 0; t < seen; ++t) scores[t] *= g.key_scales[t];
        }
        const float total = soften(scores, seen, damping(g));
        if constexpr (SCALED) {
#pragma omp simd
            for (int64_t t = 0; t < seen; ++t) scores[t] *= g.value_scales[t];
        }
        return total;
    }

    static inline void widen_all(const T* from, const float* scales, int64_t seen, int64_t size, float* to) {
        for (int64_t t = 0; t < seen; ++t)
            for (int64_t i = t * size; i < (t + 1) * size; i += L) {
                const Floats floats = V::widen(from + i);
                if constexpr (SCALED) V::store(to + i, V::multiply(floats, V::spread(scales[t])));
                else V::store(to + i, floats);
            }
    }

    template <int COUNT>
    static inline void dots(const float* query, const float* keys, int64_t size, float* to) {
        Floats sum[COUNT];
        for (auto& each : sum) each = V::zero();
        for (int64_t i = 0; i < size; i += L) {
            const Floats q = V::load(query + i);
            for (int k = 0; k < COUNT; ++k) sum[k] = V::add_product(sum[k], q, V::load(keys + k * size + i));
        }
        if constexpr (COUNT == 4) V::totals(sum, to);
        else
            for (int k = 0; k < COUNT; ++k) to[k] = V::total(sum[k]);
    }

    template <int ROWS>
    static void tile(const Group& g, const float* query, int64_t between, int64_t position, const float* turned,
                     const float* wide, int64_t seen, float* scores, float* out) {
        const int64_t stride = turned_stride(seen), last = position + ROWS;
        for (int64_t t = 0; t < last; t += 4 * L) {
            Floats sum[ROWS][4];
            for (auto& each : sum)
                for (auto& vector : each) vector = V::zero();
            for (int64_t i = 0; i < g.size; ++i) {
                Floats key[4];
                for (int c = 0; c < 4; ++c) key[c] = V::load(turned + i * stride + t + c * L);
                for (int m = 0; m < ROWS; ++m) {
                    const Floats q = V::spread(query[m * between + i]);
                    for (int c = 0; c < 4; ++c) sum[m][c] = V::add_product(sum[m][c], q, key[c]);
                }
            }
            for (int m = 0; m < ROWS; ++m)
                for (int c = 0; c < 4; ++c) V::store(scores + m * stride + t + c * L, sum[m][c]);
        }
        float total[ROWS];
        for (int m = 0; m < ROWS; ++m) {
            total[m] = soften(scores + m * stride, position + m + 1, damping(g));
            for (int64_t t = position + m + 1; t < last; ++t) scores[m * stride + t] = 0;
        }
        all_columns<ROWS>({scores, stride, wide, nullptr, g.size}, last, total, out, between);
    }

    template <int ROWS>
    static inline void all_columns(const Source& source, int64_t seen, const float* total, float* out, int64_t between) {
        int64_t at = 0;
        for (; at + 4 * L <= source.size; at += 4 * L) columns<ROWS, 4>(source, seen, at, total, out, between);
        for (; at < source.size; at += L) columns<ROWS, 1>(source, seen, at, total, out, between);
    }

    template <int ROWS, int COUNT>
    static inline void columns(const Source& source, int64_t seen, int64_t at, const float* total, float* out,
                               int64_t between) {
        Floats sum[ROWS][COUNT];
        for (auto& each : sum)
            for (auto& vector : each) vector = V::zero();
        for (int64_t t = 0; t < seen; ++t) {
            Floats value[COUNT];
            for (int c = 0; c < COUNT; ++c) value[c] = source.at(t, at + c * L);
            for (int m = 0; m < ROWS; ++m) {
                const Floats weight = V::spread(source.weights[m * source.stride + t]);
                for (int c = 0; c < COUNT; ++c) sum[m][c] = V::add_product(sum[m][c], weight, value[c]);
            }
        }
        for (int m = 0; m < ROWS; ++m)
            for (int c = 0; c < COUNT; ++c)
                V::store(out + m * between + at + c * L, V::multiply(sum[m][c], V::spread(1.0f / total[m])));
    }
};

}  // namespace pumice
