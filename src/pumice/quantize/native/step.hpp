// The decode step, written once: loops that each path's compiler turns into its own vectors.
//
// Threads share products by output rows and attention by heads, and meet after each stage. What is small every thread
// computes for itself, because that is sooner done than waiting for another.
#pragma once
#include <algorithm>
#include <cmath>

#include "barrier.hpp"
#include "decoder.hpp"
#include "tile.hpp"

namespace pumice {

// e^x for x <= 0 (Cephes' polynomial, relative error about 1e-7); all below -87 is as good as 0.
static inline float exponential(float x) {
    x = std::max(x, -87.0f);
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

static inline float sigmoid(float x) {
    const float small = exponential(-std::fabs(x));
    return (x >= 0 ? 1.0f : small) / (1.0f + small);
}

// What a product takes: floats, and for integer weights the int8 numbers made of them.
struct Input {
    const float* plain;  // [rows, columns]
    Activations rounded;
};

template <class V>
struct DecodeStep {
    const Decoder& d;
    const Step& s;
    const Shared& shared;
    const Thread& me;

    static void run(const Decoder& decoder, const Step& step, const Shared& shared, const Thread& thread) {
        DecodeStep(decoder, step, shared, thread).all();
    }

private:
    DecodeStep(const Decoder& decoder, const Step& step, const Shared& both, const Thread& thread)
        : d(decoder), s(step), shared(both), me(thread) {}

    void all() const {
        for (int64_t index = 0; index < d.layers; ++index) {
            const Layer& layer = d.layer[index];
            normalize(layer.attention_norm);
            Input x = input(me.own.normed, layer.query);
            product(layer.query, x, shared.query);
            product(layer.key, x, shared.key);
            product(layer.value, x, shared.value);
            me.barrier->wait();
            attend(index);
            me.barrier->wait();
            product_added(layer.output, input(shared.mixed, layer.output));
            me.barrier->wait();
            normalize(layer.mlp_norm);
            x = input(me.own.normed, layer.gate);
            product(layer.gate, x, shared.gate);
            product(layer.up, x, shared.up);
            activate(layer.gate);
            me.barrier->wait();
            product_added(layer.down, input(shared.gate, layer.down));
            me.barrier->wait();
        }
        normalize(d.norm);
        product(d.head, input(me.own.normed, d.head), s.logits);
    }

    int64_t border(int64_t total, int index) const { return total * index / me.count; }
    int64_t first_block(const Weights& w) const { return border(blocks(w.rows), me.index); }
    int64_t last_block(const Weights& w) const { return border(blocks(w.rows), me.index + 1); }

    void normalize(const float* weight) const {
        for (int64_t row = 0; row < s.rows; ++row) {
            const float* x = s.x + row * d.hidden;
            float square = 0;
#pragma omp simd reduction(+ : square)
            for (int64_t i = 0; i < d.hidden; ++i) square += x[i] * x[i];
            const float scale = 1.0f / std::sqrt(square / float(d.hidden) + d.eps);
            float* to = me.own.normed + row * d.hidden;
            for (int64_t i = 0; i < d.hidden; ++i) to[i] = x[i] * scale * weight[i];
        }
    }

    Input input(const float* x, const Weights& w) const {
        if (w.bits == 16) return {x, {}};
        Path<V>::quantize(x, s.rows, w.columns, w.group, me.own.rounded, me.own.scales, me.own.sums);
        return {x, {me.own.rounded, me.own.scales, me.own.sums, w.columns, groups_of(w)}};
    }

    void product(const Weights& w, const Input& x, float* out) const {
        if (w.bits == 16 && w.group == FLOAT16) wide_product<from_finite_fp16>(w, x.plain, out);
        else if (w.bits == 16) wide_product<from_bf16>(w, x.plain, out);
        else Path<V>::stream(w, first_block(w), last_block(w), x.rounded, s.rows, out);
    }

    // 16-bit weights: four output rows at a time, so that four sums and four reads are under way.
    template <float (*WIDEN)(uint16_t)>
    void wide_product(const Weights& w, const float* x, float* out) const {
        const uint16_t* all = reinterpret_cast<const uint16_t*>(w.data);
        const int64_t from = first_block(w) * BLOCK, to = std::min(w.rows, last_block(w) * BLOCK), k = w.columns;
        for (int64_t n = from; n < to; n += 4) {
            const uint16_t* row[4];
            for (int64_t i = 0; i < 4; ++i) row[i] = all + std::min(n + i, to - 1) * k;
            for (int64_t m = 0; m < s.rows; ++m) {
                const float* with = x + m * k;
                float a = 0, b = 0, c = 0, e = 0;
#pragma omp simd reduction(+ : a, b, c, e)
                for (int64_t i = 0; i < k; ++i) {
                    a += with[i] * WIDEN(row[0][i]);
                    b += with[i] * WIDEN(row[1][i]);
                    c += with[i] * WIDEN(row[2][i]);
                    e += with[i] * WIDEN(row[3][i]);
                }
                const float four[4] = {a, b, c, e};
                for (int64_t i = 0; i < std::min<int64_t>(4, to - n); ++i) out[m * w.rows + n + i] = four[i];
            }
        }
    }

    void product_added(const Weights& w, const Input& x) const {
        product(w, x, shared.change);
        const int64_t from = first_block(w) * BLOCK, to = std::min(w.rows, last_block(w) * BLOCK);
        for (int64_t row = 0; row < s.rows; ++row)
            for (int64_t i = row * w.rows + from; i < row * w.rows + to; ++i) s.x[i] += shared.change[i];
    }

    // gate = silu(gate) * up, where this thread has made both.
    void activate(const Weights& w) const {
        const int64_t from = first_block(w) * BLOCK, to = std::min(w.rows, last_block(w) * BLOCK);
        for (int64_t row = 0; row < s.rows; ++row)
#pragma omp simd
            for (int64_t i = row * w.rows + from; i < row * w.rows + to; ++i)
                shared.gate[i] = shared.gate[i] * sigmoid(shared.gate[i]) * shared.up[i];
    }

    // Heads are shared out, never rows: several rows may be positions of one cache, and the later ones must see what
    // the earlier ones have just stored.
    void attend(int64_t layer) const {
        for (int64_t head = border(d.kv_heads, me.index); head < border(d.kv_heads, me.index + 1); ++head)
            for (int64_t row = 0; row < s.rows; ++row) attend(layer, row, head);
    }

    void attend(int64_t layer, int64_t row, int64_t head) const {
        const int64_t each = d.heads / d.kv_heads, size = d.head_dim, position = s.positions[row];
        const int64_t place = layer * s.rows + row, from = head * s.capacities[row] * size;
        uint16_t *keys = s.keys[place] + from, *values = s.values[place] + from;
        float* key = shared.key + (row * d.kv_heads + head) * size;
        const float* value = shared.value + (row * d.kv_heads + head) * size;
        rotate(key, position);
        for (int64_t i = 0; i < size; ++i) {
            keys[position * size + i] = to_bf16(key[i]);
            values[position * size + i] = to_bf16(value[i]);
        }
        for (int64_t one = head * each; one < (head + 1) * each; ++one) {
            float* query = shared.query + (row * d.heads + one) * size;
            rotate(query, position);
            mix(query, keys, values, position + 1, shared.mixed + (row * d.heads + one) * size);
        }
    }

    // Rotary position: halves of a head are the two coordinates of each pair.
    void rotate(float* x, int64_t position) const {
        const int64_t half = d.head_dim / 2;
        const float *cosine = d.cosines + position * half, *sine = d.sines + position * half;
        for (int64_t i = 0; i < half; ++i) {
            const float first = x[i], second = x[i + half];
            x[i] = first * cosine[i] - second * sine[i];
            x[i + half] = second * cosine[i] + first * sine[i];
        }
    }

    // out = softmax(query . keys / sqrt(size)) . values over `seen` positions.
    void mix(const float* query, const uint16_t* keys, const uint16_t* values, int64_t seen, float* out) const {
        const int64_t size = d.head_dim;
        float* scores = me.own.scores;
        const float scale = 1.0f / std::sqrt(float(size));
        float largest = -INFINITY;
        for (int64_t t = 0; t < seen; ++t) {
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < size; ++i) sum += query[i] * from_bf16(keys[t * size + i]);
            scores[t] = sum * scale;
            largest = std::max(largest, scores[t]);
        }
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t t = 0; t < seen; ++t) {
            scores[t] = exponential(scores[t] - largest);
            total += scores[t];
        }
        std::fill(out, out + size, 0.0f);
        int64_t t = 0;
        for (; t + 4 <= seen; t += 4) {  // four at a time: `out` is read and written a quarter as often
            const uint16_t* v = values + t * size;
            const float a = scores[t], b = scores[t + 1], c = scores[t + 2], e = scores[t + 3];
            for (int64_t i = 0; i < size; ++i)
                out[i] += a * from_bf16(v[i]) + b * from_bf16(v[i + size]) + c * from_bf16(v[i + 2 * size]) +
                          e * from_bf16(v[i + 3 * size]);
        }
        for (; t < seen; ++t)
            for (int64_t i = 0; i < size; ++i) out[i] += scores[t] * from_bf16(values[t * size + i]);
        for (int64_t i = 0; i < size; ++i) out[i] *= 1.0f / total;
    }
};

}  // namespace pumice
