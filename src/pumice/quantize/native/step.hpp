// The decode step, written once: loops that each path's compiler turns into its own vectors.
//
// Threads share products by output rows and attention by heads, and meet after each stage. What is small every thread
// computes for itself, because that is sooner done than waiting for another.
#pragma once
#include <math.h>

#include "attention.hpp"
#include "barrier.hpp"
#include "decoder.hpp"
#include "round.hpp"
#include "tile.hpp"

namespace pumice {

static inline float sigmoid(float x) {
    const float small = exponential(-fabsf(x));
    return (x >= 0 ? 1.0f : small) / (1.0f + small);
}

// What a product takes: floats, and for integer weights the int8 numbers made of them.
struct Input {
    const float* plain;  // [rows, columns]
    int64_t rows;
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
            Input x = input(s.x, layer.attention_norm, layer.query);
            product_biased(layer.query, layer.query_bias, x, shared.query);
            product_biased(layer.key, layer.key_bias, x, shared.key);
            product_biased(layer.value, layer.value_bias, x, shared.value);
            me.barrier->wait();
            attend(index);
            me.barrier->wait();
            product_added(layer.output, input(shared.mixed, nullptr, layer.output));
            me.barrier->wait();
            x = input(s.x, layer.mlp_norm, layer.gate);
            product(layer.gate, x, shared.gate);
            product(layer.up, x, shared.up);
            activate(layer.gate);
            me.barrier->wait();
            product_added(layer.down, input(shared.gate, nullptr, layer.down));
            me.barrier->wait();
        }
        if (s.answered == 0) return;
        const float* last = s.x + (s.rows - s.answered) * d.hidden;
        const Input x = own_input(last, s.answered, d.norm, d.head);
        product(d.head, x, s.logits);
    }

    int64_t border(int64_t total, int index) const { return total * index / me.count; }
    int64_t first_block(const Weights& w) const { return border(blocks(w.rows), me.index); }
    int64_t last_block(const Weights& w) const { return border(blocks(w.rows), me.index + 1); }

    void normalize(const float* x, int64_t rows, const float* weight, float* to) const {
        for (int64_t row = 0; row < rows; ++row, x += d.hidden, to += d.hidden) {
            float square = 0;
#pragma omp simd reduction(+ : square)
            for (int64_t i = 0; i < d.hidden; ++i) square += x[i] * x[i];
            const float scale = 1.0f / sqrtf(square / float(d.hidden) + d.eps);
            for (int64_t i = 0; i < d.hidden; ++i) to[i] = x[i] * scale * weight[i];
        }
    }

    // What `w` takes, made of all rows of x. norm: of its root-mean-square norm, or null.
    Input input(const float* x, const float* norm, const Weights& w) const {
        if (!is_one_text(s)) return own_input(x, s.rows, norm, w);
        const int64_t from = border(s.rows, me.index), to = border(s.rows, me.index + 1), groups = groups_of(w);
        for (int64_t row = from; row < to; ++row) {
            const float* one = x + row * w.columns;
            if (norm) normalize(one, 1, norm, me.own.normed);
            Path<V>::quantize(w, norm ? me.own.normed : one, 1, shared.rounded + row * w.columns,
                              shared.scales + row * groups, shared.starts + row * groups);
        }
        me.barrier->wait();
        return {nullptr, s.rows, {shared.rounded, shared.scales, shared.starts, w.columns, groups}};
    }

    // The same, by each thread for itself.
    Input own_input(const float* x, int64_t rows, const float* norm, const Weights& w) const {
        if (norm) normalize(x, rows, norm, me.own.normed);
        if (norm) x = me.own.normed;
        if (w.bits == 16) return {x, rows, {}};
        Path<V>::quantize(w, x, rows, me.own.rounded, me.own.scales, me.own.starts);
        return {x, rows, {me.own.rounded, me.own.scales, me.own.starts, w.columns, groups_of(w)}};
    }

    void product(const Weights& w, const Input& x, float* out) const {
        if (w.bits == 16 && w.group == FLOAT16) wide_product<from_finite_fp16>(w, x, out);
        else if (w.bits == 16) wide_product<from_bf16>(w, x, out);
        else Path<V>::multiply(w, first_block(w), last_block(w), x.rounded, x.rows, out, me.own.room);
    }

    // 16-bit weights: four output rows at a time, so that four sums and four reads are under way.
    template <float (*WIDEN)(uint16_t)>
    void wide_product(const Weights& w, const Input& x, float* out) const {
        const uint16_t* all = reinterpret_cast<const uint16_t*>(w.data);
        const int64_t from = first_block(w) * BLOCK, to = smaller(w.rows, last_block(w) * BLOCK), k = w.columns;
        for (int64_t n = from; n < to; n += 4) {
            const uint16_t* row[4];
            for (int64_t i = 0; i < 4; ++i) row[i] = all + smaller(n + i, to - 1) * k;
            for (int64_t m = 0; m < x.rows; ++m) {
                const float* with = x.plain + m * k;
                float a = 0, b = 0, c = 0, e = 0;
#pragma omp simd reduction(+ : a, b, c, e)
                for (int64_t i = 0; i < k; ++i) {
                    a += with[i] * WIDEN(row[0][i]);
                    b += with[i] * WIDEN(row[1][i]);
                    c += with[i] * WIDEN(row[2][i]);
                    e += with[i] * WIDEN(row[3][i]);
                }
                const float four[4] = {a, b, c, e};
                for (int64_t i = 0; i < smaller(4, to - n); ++i) out[m * w.rows + n + i] = four[i];
            }
        }
    }

    void product_biased(const Weights& w, const float* bias, const Input& x, float* out) const {
        product(w, x, out);
        if (!bias) return;
        const int64_t from = first_block(w) * BLOCK, to = smaller(w.rows, last_block(w) * BLOCK);
        for (int64_t row = 0; row < s.rows; ++row)
            for (int64_t i = from; i < to; ++i) out[row * w.rows + i] += bias[i];
    }

    void product_added(const Weights& w, const Input& x) const {
        product(w, x, shared.change);
        const int64_t from = first_block(w) * BLOCK, to = smaller(w.rows, last_block(w) * BLOCK);
        for (int64_t row = 0; row < s.rows; ++row)
            for (int64_t i = row * w.rows + from; i < row * w.rows + to; ++i) s.x[i] += shared.change[i];
    }

    // gate = silu(gate) * up, where this thread has made both.
    void activate(const Weights& w) const {
        const int64_t from = first_block(w) * BLOCK, to = smaller(w.rows, last_block(w) * BLOCK);
        for (int64_t row = 0; row < s.rows; ++row)
#pragma omp simd
            for (int64_t i = row * w.rows + from; i < row * w.rows + to; ++i)
                shared.gate[i] = shared.gate[i] * sigmoid(shared.gate[i]) * shared.up[i];
    }

    // Heads are shared out, never rows: several rows may be positions of one text, and the later ones must see what
    // the earlier ones have just stored.
    void attend(int64_t layer) const {
        for (int64_t head = border(d.kv_heads, me.index); head < border(d.kv_heads, me.index + 1); ++head) {
            if (s.key_scales) attend<int8_t>(layer, head);
            else attend<uint16_t>(layer, head);
        }
    }

    template <class T>
    void attend(int64_t layer, int64_t head) const {
        if (is_one_text(s)) return attend_together<T>(layer, head);
        for (int64_t row = 0; row < s.rows; ++row) attend_alone<T>(layer, row, head);
    }

    // Turns the row's queries and its key, and stores key and value. Returns the cache from this head on.
    template <class T>
    HeadGroup<T> store(int64_t layer, int64_t row, int64_t head) const {
        const int64_t each = d.heads / d.kv_heads, size = d.head_dim, position = s.positions[row];
        const int64_t cache = s.caches == 1 ? 0 : row, at = layer * s.caches + cache, first = head * s.capacities[cache];
        T* keys = static_cast<T*>(s.keys[at]) + first * size;
        T* values = static_cast<T*>(s.values[at]) + first * size;
        float* key_scales = s.key_scales ? s.key_scales[at] + first : nullptr;
        float* value_scales = s.key_scales ? s.value_scales[at] + first : nullptr;
        float* key = shared.key + (row * d.kv_heads + head) * size;
        rotate(key, position);
        keep(key, position, keys, key_scales);
        keep(shared.value + (row * d.kv_heads + head) * size, position, values, value_scales);
        for (int64_t one = head * each; one < (head + 1) * each; ++one)
            rotate(shared.query + (row * d.heads + one) * size, position);
        return {each, size, keys, values, key_scales, value_scales};
    }

    void keep(const float* x, int64_t position, uint16_t* to, float*) const {
        for (int64_t i = 0; i < d.head_dim; ++i) to[position * d.head_dim + i] = to_bf16(x[i]);
    }

    void keep(const float* x, int64_t position, int8_t* to, float* scales) const {
        scales[position] = round_to_int8(x, d.head_dim, to + position * d.head_dim).scale;
    }

    template <class T>
    void attend_alone(int64_t layer, int64_t row, int64_t head) const {
        const HeadGroup<T> group = store<T>(layer, row, head);
        const int64_t at = (row * d.heads + head * group.heads) * group.size, seen = s.positions[row] + 1;
        const auto few = group.size % V::LANES ? Attention<Single, T>::few : Attention<V, T>::few;
        few(group, shared.query + at, seen, me.own.scores, me.own.wide, shared.mixed + at);
    }

    template <class T>
    void attend_together(int64_t layer, int64_t head) const {
        HeadGroup<T> group{};
        for (int64_t row = 0; row < s.rows; ++row) group = store<T>(layer, row, head);
        const int64_t seen = s.positions[0] + s.rows, between = d.heads * d.head_dim;
        const bool odd = group.size % V::LANES != 0;
        (odd ? Attention<Single, T>::prepare : Attention<V, T>::prepare)(group, seen, me.own.turned, me.own.wide);
        const auto many = odd ? Attention<Single, T>::many : Attention<V, T>::many;
        for (int64_t one = head * group.heads; one < (head + 1) * group.heads; ++one)
            many(group, shared.query + one * group.size, s.rows, between, s.positions[0], me.own.turned, me.own.wide, seen,
                 me.own.scores, shared.mixed + one * group.size);
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
};

}  // namespace pumice
