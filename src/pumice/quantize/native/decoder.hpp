// One step of a LLaMA-shaped decoder: a new token in each of some rows, or many positions of one text. Plain values.
#pragma once
#include <cstdint>

#include "layout.hpp"

namespace pumice {

struct Layer {
    const float *attention_norm, *mlp_norm;  // [hidden]
    Weights query, key, value, output, gate, up, down;
    const float *query_bias, *key_bias, *value_bias;  // [rows] or null
};

struct Decoder {
    int64_t hidden, inner, heads, kv_heads, head_dim;
    float eps;
    int64_t layers;
    const Layer* layer;
    const float* norm;  // [hidden]
    Weights head;
    const float *cosines, *sines;  // [positions, head_dim / 2]
    int64_t positions;
};

// Keys and values are for each layer bfloat16 [kv_heads, capacity, head_dim]; a position's slot is its number. Or they are
// int8, and each head's key and value of a position has a scale [kv_heads, capacity]. Each row has its own, or all rows
// have one: then they stand at positions one after the other. Rows of different caches may share memory as well, a later
// one at a later position.
struct Step {
    int64_t rows, caches;       // caches: 1 or rows
    const int64_t* capacities;  // [caches]
    const int64_t* positions;   // [rows]: of the new tokens
    float* x;                   // [rows, hidden]: their embeddings; the residual stream
    void* const* keys;          // [layers, caches]
    void* const* values;
    float* const* key_scales;   // [layers, caches] for int8, null for bfloat16
    float* const* value_scales;
    int64_t answered;           // of the last so many rows logits are wanted
    float* logits;              // [answered, vocabulary]
};

static inline bool is_one_text(const Step& s) { return s.caches == 1 && s.rows >= MANY; }

// Results of a stage that the next one reads, whichever thread made them.
struct Shared {
    float *query, *key, *value;  // [rows, heads or kv_heads * head_dim]
    float *mixed, *gate, *up;    // [rows, heads * head_dim], [rows, inner] twice
    float* change;               // [rows, hidden]
    int8_t* rounded;             // for many positions of one text, as in Private
    float* scales;
    int32_t* starts;
};

// What a thread computes for itself.
struct Private {
    float* normed;    // [rows, hidden]
    float* scores;    // [heads of a group, positions], or [QUERIES, turned_stride]
    float* turned;    // copies of keys and values for attention (attention.hpp)
    float* wide;
    uint8_t* room;    // for products (room_bytes)
    int8_t* rounded;  // [rows, widest input]
    float* scales;    // [rows, widest input / smallest group]
    int32_t* starts;
};

class Barrier;

// This thread is `index` of `count`.
struct Thread {
    int index, count;
    Barrier* barrier;
    Private own;
};

}  // namespace pumice
