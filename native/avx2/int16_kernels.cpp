#include "../sizes.h"
#include "table.h"

namespace rerank {
namespace {

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
