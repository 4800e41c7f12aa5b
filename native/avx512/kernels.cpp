#include "dense.h"
#include "../generic/table.h"

namespace rerank {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = table_of<Int8>("avx512-vnni", quantise);
  return kKernels;
}

const Kernels& avx512_int16_kernels() {
  static constexpr Kernels kKernels = table_of<Int16>("avx512-vnni-int16", quantise_int16);
  return kKernels;
}

}  // namespace rerank
