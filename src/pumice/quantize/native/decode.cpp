#include <algorithm>
#include <vector>

#include "attention.hpp"
#include "barrier.hpp"
#include "kernels.hpp"
#include "pool.hpp"
#include "pumice_native.h"

namespace pumice {
namespace {

Weights weights_of(const PumiceLinear& linear) {
    return {linear.packed, linear.bits, linear.rows, linear.columns, linear.group};
}

std::vector<Layer> layers_of(const PumiceDecoder& from) {
    std::vector<Layer> all;
    for (int64_t index = 0; index < from.layers; ++index) {
        const PumiceLayer& one = from.layer[index];
        all.push_back({one.attention_norm, one.mlp_norm, weights_of(one.query), weights_of(one.key),
                       weights_of(one.value), weights_of(one.output), weights_of(one.gate), weights_of(one.up),
                       weights_of(one.down), one.query_bias, one.key_bias, one.value_bias});
    }
    return all;
}

bool takes(const Weights& w, int64_t rows, int64_t columns) {
    if (!w.data || w.rows != rows || w.columns != columns) return false;
    const bool groups = w.group >= 8 && w.group % 8 == 0 && columns % std::max(1, w.group) == 0;
    const bool wide = w.bits == 16 && (w.group == BFLOAT16 || w.group == FLOAT16);
    return wide || ((w.bits == 4 || w.bits == 8) && groups);
}

bool fits_together(const Decoder& d) {
    if (d.heads < 1 || d.kv_heads < 1 || d.heads % d.kv_heads || d.head_dim < 2 || d.head_dim % 2) return false;
    const int64_t width = d.heads * d.head_dim, narrow = d.kv_heads * d.head_dim;
    for (int64_t index = 0; index < d.layers; ++index) {
        const Layer& one = d.layer[index];
        const bool attention = takes(one.query, width, d.hidden) && takes(one.key, narrow, d.hidden) &&
                               takes(one.value, narrow, d.hidden) && takes(one.output, d.hidden, width);
        const bool mlp = takes(one.gate, d.inner, d.hidden) && takes(one.up, d.inner, d.hidden) &&
                         takes(one.down, d.hidden, d.inner);
        // What is rounded once for several products has one group size.
        const auto alike = [](const Weights& a, const Weights& b) {
            return a.bits == b.bits && a.group == b.group;
        };
        const bool groups = alike(one.query, one.key) && alike(one.query, one.value) && alike(one.gate, one.up);
        if (!attention || !mlp || !groups) return false;
    }
    return takes(d.head, d.head.rows, d.hidden);
}

bool all_integers(const Decoder& d) {
    for (int64_t index = 0; index < d.layers; ++index) {
        const Layer& one = d.layer[index];
        for (const Weights* w : {&one.query, &one.output, &one.gate, &one.down})
            if (w->bits == 16) return false;
    }
    return true;
}

bool possible(const Decoder& d, const Step& s) {
    if (s.rows < 1 || (s.caches != 1 && s.caches != s.rows)) return false;
    if (!s.key_scales != !s.value_scales) return false;
    if (s.answered < 0 || s.answered > s.rows || (is_one_text(s) && s.answered >= MANY)) return false;
    for (int64_t row = 0; row < s.rows; ++row) {
        const int64_t position = s.positions[row];
        if (position < 0 || position >= d.positions || position >= s.capacities[s.caches == 1 ? 0 : row]) return false;
        if (s.caches == 1 && position != s.positions[0] + row) return false;
    }
    return true;
}

// All memory of a step in one piece, its parts 64 bytes apart at least; kept for the thread's next step.
class Memory {
public:
    void prepare(const Decoder& d, const Step& s, int threads) {
        const int64_t widest = std::max({d.hidden, d.inner, d.heads * d.head_dim});
        const int64_t seen = 1 + *std::max_element(s.positions, s.positions + s.rows);
        const bool many = is_one_text(s);
        const int64_t query = add(s.rows * d.heads * d.head_dim), key = add(s.rows * d.kv_heads * d.head_dim);
        const int64_t value = add(s.rows * d.kv_heads * d.head_dim), mixed = add(s.rows * d.heads * d.head_dim);
        const int64_t gate = add(s.rows * d.inner), up = add(s.rows * d.inner), change = add(s.rows * d.hidden);
        const Rounded together = add_rounded(many ? s.rows : 0, widest);
        // What a thread rounds for itself: all rows, or of many positions those that are answered.
        const int64_t alone = many ? s.answered : s.rows;
        std::vector<int64_t> normed, scores, turned, wide, room;
        std::vector<Rounded> rounded;
        for (int thread = 0; thread < threads; ++thread) {
            normed.push_back(add(std::max<int64_t>(1, alone) * d.hidden));
            scores.push_back(add(many ? QUERIES * turned_stride(seen) : d.heads / d.kv_heads * seen));
            turned.push_back(add(many ? d.head_dim * turned_stride(seen) : 0));
            wide.push_back(add(d.head_dim * (many ? seen : KEYS)));
            room.push_back(add((most_room(d, s.rows) + 3) / 4));
            rounded.push_back(add_rounded(alone, widest));
        }
        room_.resize(std::max(room_.size(), size_t(total_) + 16));
        float* base = room_.data() + (-(reinterpret_cast<uintptr_t>(room_.data()) / 4) & 15);
        shared = {base + query, base + key,    base + value,
                  base + mixed, base + gate,   base + up,
                  base + change, bytes(base + together.values), base + together.scales, whole(base + together.starts)};
        own.clear();
        for (size_t thread = 0; thread < size_t(threads); ++thread) {
            const Rounded& mine = rounded[thread];
            own.push_back({base + normed[thread], base + scores[thread], base + turned[thread], base + wide[thread],
                           reinterpret_cast<uint8_t*>(base + room[thread]), bytes(base + mine.values),
                           base + mine.scales, whole(base + mine.starts)});
        }
        total_ = 0;
    }

    Shared shared{};
    std::vector<Private> own;

private:
    struct Rounded {
        int64_t values, scales, starts;
    };

    static int8_t* bytes(float* at) { return reinterpret_cast<int8_t*>(at); }
    static int32_t* whole(float* at) { return reinterpret_cast<int32_t*>(at); }

    static int64_t most_room(const Decoder& d, int64_t rows) {
        int64_t most = d.head.bits == 16 ? 0 : room_bytes(d.head, rows);
        for (int64_t index = 0; index < d.layers; ++index)
            for (const Weights* w : {&d.layer[index].query, &d.layer[index].gate, &d.layer[index].down, &d.layer[index].output})
                if (w->bits != 16) most = std::max(most, room_bytes(*w, rows));
        return most;
    }

    Rounded add_rounded(int64_t rows, int64_t columns) {
        const int64_t groups = rows * (columns / 8);
        return {add((rows * columns + 3) / 4), add(groups), add(groups)};
    }

    int64_t add(int64_t floats) {
        const int64_t at = total_;
        total_ += (floats + 15) / 16 * 16;
        return at;
    }

    int64_t total_ = 0;
    std::vector<float> room_;
};

}  // namespace
}  // namespace pumice

using namespace pumice;

int32_t pumice_decode(const PumiceDecoder* decoder, const PumiceStep* step) {
    const std::vector<Layer> layers = layers_of(*decoder);
    const Decoder d{decoder->head.columns, layers.empty() ? 0 : layers[0].gate.rows, decoder->heads, decoder->kv_heads,
                    decoder->head_dim,     decoder->eps,  decoder->layers,          layers.data(),
                    decoder->norm,         weights_of(decoder->head), decoder->cosines, decoder->sines, decoder->positions};
    const Step s{step->rows, step->caches, step->capacities, step->positions, step->x,
                 step->keys, step->values, step->key_scales, step->value_scales, step->answered, step->logits};
    if (layers.empty() || !fits_together(d) || !possible(d, s) || (is_one_text(s) && !all_integers(d))) return -1;
    const Kernels& kernels = path();
    thread_local Memory memory;
    Memory& mine = memory;  // of this thread, for the others to use
    Barrier barrier;
    const auto prepare = [&](int count) {
        mine.prepare(d, s, count);
        barrier.expect(count);
    };
    together(prepare, [&](int index, int count) {
        kernels.step(d, s, mine.shared, {index, count, &barrier, mine.own[size_t(index)]});
    });
    return 0;
}
