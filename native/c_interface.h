// The library as Python sees it: plain C, an opaque handle, errors as messages.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RERANK_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t layers, width, heads, head_width, ffn_width, vocabulary, positions, token_types;
  float epsilon;  // of the layer normalisations
} RerankShape;

// y = x W^T + b: a weight is weights[output][input] * scales[output]. Rows and columns are padded
// with zeros as sizes.h says.
typedef struct {
  const void* weights;  // int8, or int16 where the instruction set's name ends so
  const float* scales;
  const float* bias;
  int32_t outputs, inputs;
} RerankDense;

// A layer normalisation, padded with zeros to `columns`.
typedef struct {
  const float* scale;
  const float* shift;
} RerankNorm;

typedef struct {
  RerankDense query;      // 1 / sqrt(head width) folded in
  RerankDense key_value;  // keys of all heads, then values of all heads
  RerankDense attention_output;
  RerankDense ffn_in;
  RerankDense ffn_out;
  RerankNorm attention_norm;
  RerankNorm output_norm;
} RerankLayer;

// Tables are rows of `width` floats, not copied: they must outlive the encoder.
typedef struct {
  const float* words;
  const float* positions;
  const float* token_types;
  RerankNorm norm;
  const RerankLayer* layers;
} RerankWeights;

enum { RERANK_CLASSIFIER = 0, RERANK_MEAN_VECTOR = 1, RERANK_FIRST_VECTOR = 2 };

// What stands on the encoder. Matrices are float, [input][output], padded: the pooler to
// columns x columns, the classifier to columns x (outputs rounded up to 16).
typedef struct {
  int32_t kind;
  int32_t outputs;             // of the classifier
  const float* pooler;         // null: none
  const float* pooler_bias;
  const float* classifier;
  const float* classifier_bias;
} RerankHead;

typedef struct RerankEncoder RerankEncoder;

// What the sizes of the structures are, and a number that goes up with any other change of what this
// header promises: a caller that was made for another library sees that it was.
RERANK_API const char* rerank_interface(void);

// Instruction sets that this machine can run, those of int8 first and the best of them ahead,
// separated by commas; maybe none.
RERANK_API const char* rerank_instruction_sets(void);

// A new encoder, or null with the reason in `message`.
RERANK_API RerankEncoder* rerank_encoder_new(const RerankShape* shape, const RerankWeights* weights,
                                             const RerankHead* head, const char* instruction_set,
                                             char* message, size_t message_bytes);

RERANK_API void rerank_encoder_delete(RerankEncoder* encoder);

// How many floats one row gives.
RERANK_API int32_t rerank_encoder_outputs(const RerankEncoder* encoder);

// Row r is ids[offsets[r] .. offsets[r + 1]), the first begins at 0. Writes (rows, outputs) floats. 0, or -1 with the
// reason in `message`. Safe to call from several threads.
RERANK_API int32_t rerank_encoder_forward(const RerankEncoder* encoder, const int32_t* ids,
                                          const int32_t* type_ids, const int64_t* offsets,
                                          int32_t rows, float* outputs, char* message,
                                          size_t message_bytes);

// Names of what rerank_encoder_profile times, separated by commas.
RERANK_API const char* rerank_stages(void);

// As rerank_encoder_forward, and adds the time of each stage to `seconds`, one a stage. Not used by
// the engine.
RERANK_API int32_t rerank_encoder_profile(const RerankEncoder* encoder, const int32_t* ids,
                                          const int32_t* type_ids, const int64_t* offsets,
                                          int32_t rows, float* outputs, double* seconds,
                                          char* message, size_t message_bytes);

#ifdef __cplusplus
}
#endif
