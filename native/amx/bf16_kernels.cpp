#include "attention.h"
#include "dense.h"

namespace rerank {

const Kernels& amx_bf16_kernels() {
  static const Kernels kKernels =
      with_tiles("amx-int8-bf16", avx512_kernels(), attention_bf16);
  return kKernels;
}

}  // namespace rerank
