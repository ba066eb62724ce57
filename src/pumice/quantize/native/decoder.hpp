// One step of a LLaMA-shaped decoder, a new token in each of a few rows: plain values.
#pragma once
#include <cstdint>

#include "layout.hpp"

namespace pumice {

struct Layer {
    const float *attention_norm, *mlp_norm;  // [hidden]
    Weights query, key, value, output, gate, up, down;
};

struct Decoder {
    int64_t hidden, inner, heads, kv_heads, head_dim;
    float eps;
    int64_t layers;
    const Layer* layer;
    const float* norm;  // [hidden]
    Weights head;
    const float *cosines, *sines;  // [positions, head_dim / 2]
};

// Every row has keys and values of its own, for each layer bfloat16 [kv_heads, capacity, head_dim]; a position's slot is
// its number. Rows may share them: then they are positions of one text, one after the other.
struct Step {
    int64_t rows;
    const int64_t* capacities;  // [rows]
    const int64_t* positions;   // [rows]: of the new tokens
    float* x;                   // [rows, hidden]: their embeddings; the residual stream
    uint16_t* const* keys;      // [layers, rows]
    uint16_t* const* values;
    float* logits;              // [rows, vocabulary]
};

// Results of a stage that the next one reads, whichever thread made them.
struct Shared {
    float *query, *key, *value;  // [rows, heads or kv_heads * head_dim]
    float *mixed, *gate, *up;    // [rows, heads * head_dim], [rows, inner] twice
    float* change;               // [rows, hidden]
};

// What a thread computes for itself.
struct Private {
    float* normed;    // [rows, widest input]
    float* scores;    // [most positions of a row]
    int8_t* rounded;  // [rows, widest input]
    float* scales;    // [rows, widest input / smallest group]
    int32_t* sums;
};

class Barrier;

// This thread is `index` of `count`.
struct Thread {
    int index, count;
    Barrier* barrier;
    Private own;
};

}  // namespace pumice
