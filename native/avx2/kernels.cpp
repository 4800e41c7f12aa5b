#include "table.h"

namespace rerank {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = avx2_table<Int8>("avx2", quantise);
  return kKernels;
}

}  // namespace rerank
