#define RERANK_EMULATED_TILES
#include "dense.h"

namespace rerank {

const Kernels& emulated_amx_kernels() {
  static const Kernels kKernels = with_tiles("amx-emulated", avx512_kernels());
  return kKernels;
}

}  // namespace rerank
