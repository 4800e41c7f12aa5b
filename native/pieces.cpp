// Single pieces of the kernels in plain C, so that each is tested against NumPy and measured. Not
// used by the engine. Each returns 0, or -1 where the instruction set is not to be had.
#include <exception>

#include "c_interface.h"
#include "cpu.h"
#include "packing.h"

namespace {

using rerank::Kernels;

template <typename Use>
int32_t with_kernels(const char* instruction_set, Use use) {
  try {
    const Kernels& kernels = rerank::kernels_named(instruction_set);
    if (kernels.begin) kernels.begin();
    use(kernels);
    if (kernels.end) kernels.end();
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}

}  // namespace

extern "C" {

RERANK_API int32_t rerank_piece_rotate(const char* set, const float* x, int32_t columns,
                                       float* out) {
  return with_kernels(set, [&](const Kernels& kernels) { kernels.rotate(x, columns, out); });
}

RERANK_API int32_t rerank_piece_quantise(const char* set, const float* x, int32_t columns,
                                         void* values, float* scale, int32_t* sum) {
  return with_kernels(set, [&](const Kernels& kernels) {
    kernels.quantise(x, columns, static_cast<std::byte*>(values), scale, sum);
  });
}

RERANK_API int32_t rerank_piece_layer_norm(const char* set, float* x, int32_t width,
                                           int32_t columns, const float* scale, const float* shift,
                                           float epsilon) {
  return with_kernels(set, [&](const Kernels& kernels) {
    kernels.layer_norm(x, width, columns, scale, shift, epsilon);
  });
}

// `values` must be readable up to a multiple of 32 rows.
RERANK_API int32_t rerank_piece_dense(const char* set, void* values, float* scales,
                                      int32_t* sums, int32_t rows, const RerankDense* dense,
                                      int32_t epilogue, float* out, int32_t out_stride) {
  return with_kernels(set, [&](const Kernels& kernels) {
    const rerank::PackedDense packed(*dense, dense->outputs, dense->inputs, kernels);
    kernels.dense({static_cast<std::byte*>(values), scales, sums}, rows, packed.view(),
                  static_cast<rerank::Epilogue>(epilogue), out, out_stride);
  });
}

// query (queries, heads * head_columns), key_value (tokens, 2 * heads * head_columns).
RERANK_API int32_t rerank_piece_attention(const char* set, const float* query, int32_t queries,
                                          const float* key_value, int32_t tokens, int32_t heads,
                                          int32_t head_columns, float* out) {
  return with_kernels(set, [&](const Kernels& kernels) {
    const rerank::AlignedBuffer<float> scratch(
        rerank::attention_scratch_floats(tokens, head_columns));
    const std::ptrdiff_t columns = static_cast<std::ptrdiff_t>(heads) * head_columns;
    kernels.attention({query, columns, queries, key_value, key_value + columns, 2 * columns, tokens,
                       heads, head_columns, out, columns, scratch.data()});
  });
}

RERANK_API int32_t rerank_piece_multiply(const char* set, const float* a, int32_t rows,
                                         int32_t depth, const float* b, int32_t columns,
                                         float* out) {
  return with_kernels(set, [&](const Kernels& kernels) {
    kernels.multiply({a, depth, 1, b, columns, depth, out, columns}, rows, columns);
  });
}

RERANK_API int32_t rerank_piece_peak(const char* set, int64_t steps, double* operations) {
  return with_kernels(set, [&](const Kernels& kernels) { *operations = kernels.peak(steps); });
}

RERANK_API int32_t rerank_piece_tanh(const char* set, float* x, int32_t count) {
  return with_kernels(set, [&](const Kernels& kernels) { kernels.tanh(x, count); });
}

RERANK_API int32_t rerank_piece_gelu(const char* set, float* x, int32_t count) {
  return with_kernels(set, [&](const Kernels& kernels) { kernels.gelu(x, count); });
}

}  // extern "C"
