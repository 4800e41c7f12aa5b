#include "dense.h"
#include "../generic/table.h"

namespace rerank {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = table_of<Int8>("avx2", quantise);
  return kKernels;
}

const Kernels& avx2_int16_kernels() {
  static constexpr Kernels kKernels = table_of<Int16>("avx2-int16", quantise_int16);
  return kKernels;
}

}  // namespace rerank
