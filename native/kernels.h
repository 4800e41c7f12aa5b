// What an instruction set must bring. Chosen once, called through this table.
//
// Every set of int8 computes the same numbers: products are exact, and the float parts go in one
// order, 16 lanes at a time, with a fused multiply-add wherever the source says one. A set of int16
// has more steps to round to, and other numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerank {

// Rows of activations, symmetric: x = values * scale of the row.
struct QuantisedRows {
  std::byte* values;  // int8 or int16, as Kernels::value_bytes says
  float* scales;
  std::int32_t* sums;  // of each row's values
};

// See RerankDense; `weights` packed as packing.h says.
struct Dense {
  const std::uint8_t* weights;
  const float* scales;
  const float* bias;
  int outputs, inputs;
};

// What becomes of a product's element y before it is stored.
enum class Epilogue {
  kStore,        // out = y
  kAdd,          // out = out + y
  kGeluRotated,  // out = gelu(y), rotated in blocks of kRotated columns
};

// Softmax(query keys^T) values of one row, every head. Strides in floats.
struct Attention {
  const float* query;
  std::ptrdiff_t query_stride;
  int queries;
  const float* key;
  const float* value;
  std::ptrdiff_t key_stride;  // of values too
  int tokens;
  int heads;
  int head_columns;
  float* out;
  std::ptrdiff_t out_stride;
  float* scratch;  // attention_scratch_floats()
};

// Two matrices of floats and where their product goes. Strides in floats.
struct Operands {
  const float* a;
  std::ptrdiff_t a_stride;  // from row to row
  std::ptrdiff_t a_step;    // along the depth
  const float* b;
  std::ptrdiff_t b_stride;
  int depth;
  float* out;
  std::ptrdiff_t out_stride;
};

// Queries that share one pass over keys and values: three vectors of lanes, the tile of `multiply`.
constexpr int kAttentionQueries = 48;

// Enough for every kind of attention.
constexpr std::size_t attention_scratch_floats(int tokens, int head_columns) {
  const std::size_t in_float =
      static_cast<std::size_t>(1 + head_columns + tokens) * kAttentionQueries;
  const std::size_t padded = (tokens + 31) / 32 * 32, width = (head_columns + 31) / 32 * 32;
  const std::size_t in_bf16 = padded * (width / 2 + head_columns / 2 + 16 + 8) + width * 8 + 256;
  return in_float > in_bf16 ? in_float : in_bf16;
}

struct Kernels {
  const char* name;

  // 1: activations and weights are int8. 2: int16, as many steps of it as an int32 sum holds.
  int value_bytes;

  // How weights are packed: columns of one panel, and what is added to each weight.
  int panel_columns;
  int weight_offset;

  // Around all other calls of one thread; null where there is nothing to do.
  void (*begin)();
  void (*end)();

  // out[row][column] for `count` rows. Values must be readable up to a multiple of 32 rows.
  void (*dense)(const QuantisedRows& rows, int count, const Dense& dense, Epilogue epilogue,
                float* out, std::ptrdiff_t out_stride);

  // One row: blocks of kRotated columns times a Hadamard matrix. `out` may be x.
  void (*rotate)(const float* x, int columns, float* out);

  // One row: values = round(x / scale), scale = max |x| / 127, or over the steps of int16.
  void (*quantise)(const float* x, int columns, std::byte* values, float* scale,
                   std::int32_t* sum);

  // One row in place. The columns from `width` on are zero, and stay so where scale and shift are.
  void (*layer_norm)(float* x, int width, int columns, const float* scale, const float* shift,
                     float epsilon);

  void (*attention)(const Attention& attention);

  // out[row][column] = sum over k of a[row][k] b[k][column], columns a multiple of 16.
  void (*multiply)(const Operands& operands, int rows, int columns);

  // `steps` times as many products of values as registers hold, with nothing loaded or stored;
  // returns multiplications and additions done. What `dense` could reach at most.
  double (*peak)(std::int64_t steps);

  void (*tanh)(float* x, int count);  // in place, count a multiple of 16
  void (*gelu)(float* x, int count);  // as the epilogue; for tests
};

const Kernels& avx2_kernels();
const Kernels& avx2_int16_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_int16_kernels();
const Kernels& amx_kernels();
const Kernels& amx_bf16_kernels();  // attention's products in bf16
const Kernels& emulated_amx_bf16_kernels();
const Kernels& emulated_amx_kernels();  // AMX tiles played in plain code, for tests

}  // namespace rerank
