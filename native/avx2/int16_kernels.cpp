#include <cmath>

#include "table.h"

namespace rerank {
namespace {

// The largest int16 that is used: a sum of `inputs` products of two of them still fits an int32.
// 2,364 of 384 inputs, 1,182 of 1,536. As native_weights.py rounds weights.
int int16_limit(int inputs) { return static_cast<int>(std::sqrt(2147483647.0 / inputs)); }

void quantise_int16(const float* x, int columns, std::byte* values, float* scale,
                    std::int32_t* row_sum) {
  quantise_to(int16_limit(columns), x, columns, reinterpret_cast<std::int16_t*>(values), scale,
              row_sum);
}

}  // namespace

const Kernels& avx2_int16_kernels() {
  static constexpr Kernels kKernels = avx2_table<Int16>("avx2-int16", quantise_int16);
  return kKernels;
}

}  // namespace rerank
