/* The interface of the native library: plain C, so that one build serves every Python and every PyTorch.
 *
 * Format on disk, per linear layer of `rows` outputs and `columns` inputs, in groups of `group` columns:
 *   scales  fp16 [rows, columns / group]
 *   values  4 bit: uint8 [rows, columns / 2], two columns a byte, the even one in the low half, stored as value + 8
 *           8 bit: int8 [rows, columns], -127..127
 * A weight is value * scale. Packed weights are the same numbers in the order in which they are multiplied (layout.hpp).
 *
 * `group` is a multiple of 8, at most 256, and divides `columns`; `bits` is 4 or 8. Functions that can fail return 0
 * for success and -1 for arguments that they cannot take. All pointers are to contiguous row-major memory.
 */
#pragma once
#include <stdint.h>

#ifdef _WIN32
#define PUMICE_API __declspec(dllexport)
#else
#define PUMICE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Changes with every change of this interface. */
PUMICE_API int32_t pumice_interface(void);

/* The machine instructions in use, and all that this build and this processor have, best first, with commas. */
PUMICE_API const char* pumice_path(void);
PUMICE_API const char* pumice_paths(void);
PUMICE_API int32_t pumice_choose_path(const char* name);

/* Threads to work with; 0 is one for every processor. */
PUMICE_API void pumice_set_threads(int32_t count);
PUMICE_API int32_t pumice_threads(void);

/* Floats to the format on disk. */
PUMICE_API int32_t pumice_encode(int32_t bits, const float* weights, int64_t rows, int64_t columns, int32_t group,
                                 uint8_t* values, uint16_t* scales);

/* The format on disk to packed weights of `pumice_packed_bytes` bytes (-1 for arguments that cannot be). */
PUMICE_API int64_t pumice_packed_bytes(int32_t bits, int64_t rows, int64_t columns, int32_t group);
PUMICE_API int32_t pumice_pack(int32_t bits, const uint8_t* values, const uint16_t* scales, int64_t rows,
                               int64_t columns, int32_t group, uint8_t* packed);

/* out[m, n] = bias[n] + sum over k of x[m, k] * weight[n, k]; bias may be null. x is rounded to int8 by groups. */
PUMICE_API int32_t pumice_linear(int32_t bits, const uint8_t* packed, int64_t rows, int64_t columns, int32_t group,
                                 const float* x, int64_t positions, const float* bias, float* out);

/* A linear layer: packed, or 16 bits [rows, columns] as they lie on disk: group 0 is bfloat16, group 1 float16. */
typedef struct {
    const uint8_t* packed;
    int64_t rows, columns;
    int32_t bits, group;
} PumiceLinear;

/* Biases, of queries, keys and values alone: a float for each row, or null. */
typedef struct {
    const float *attention_norm, *mlp_norm;
    PumiceLinear query, key, value, output, gate, up, down;
    const float *query_bias, *key_bias, *value_bias;
} PumiceLayer;

/* A LLaMA-shaped decoder (RMS norm, rotary positions, grouped queries, SwiGLU) with packed weights.
 * cosines, sines: [positions, head_dim / 2]; rotation turns channel i with channel i + head_dim / 2. */
typedef struct {
    int64_t heads, kv_heads, head_dim, layers;
    float eps;
    const PumiceLayer* layer;
    const float* norm;
    PumiceLinear head;
    const float *cosines, *sines;
    int64_t positions;
} PumiceDecoder;

/* One more token in each of `rows` rows, or a piece of one text. x, [rows, hidden], is overwritten. Keys and values are
 * bfloat16, and scales null; or int8 with scales (see decoder.hpp).
 * A piece of a dozen positions or more wants integer weights in every layer, and at most eleven rows answered. */
typedef struct {
    int64_t rows, caches;
    const int64_t* capacities;
    const int64_t* positions;
    float* x;
    void* const* keys;
    void* const* values;
    float* const* key_scales;
    float* const* value_scales;
    int64_t answered;
    float* logits;
} PumiceStep;

PUMICE_API int32_t pumice_decode(const PumiceDecoder* decoder, const PumiceStep* step);

#ifdef __cplusplus
}
#endif
