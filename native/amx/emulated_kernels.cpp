#define RERANK_EMULATED_TILES
#include "attention.h"
#include "dense.h"

namespace rerank {

const Kernels& emulated_amx_kernels() {
  static const Kernels kKernels = with_tiles("amx-emulated", avx512_kernels());
  return kKernels;
}

const Kernels& emulated_amx_bf16_kernels() {
  static const Kernels kKernels =
      with_tiles("amx-emulated-bf16", avx512_kernels(), attention_bf16);
  return kKernels;
}

}  // namespace rerank
