#include "dense.h"

namespace rerank {

const Kernels& amx_kernels() {
  static const Kernels kKernels = with_tiles("amx-int8", avx512_kernels());
  return kKernels;
}

}  // namespace rerank
