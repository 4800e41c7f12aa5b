#include "../kernels.h"

#include "dense.h"
#include "../generic/attention.h"
#include "../generic/rotation.h"
#include "../generic/rows.h"

namespace rerank {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels{"avx512-vnni",
                                    1,
                                    kPanelColumns,
                                    kWeightOffset,
                                    nullptr,
                                    nullptr,
                                    dense,
                                    rotate,
                                    quantise,
                                    layer_norm,
                                    attention,
                                    multiply,
                                    peak,
                                    tanh_in_place,
                                    gelu_in_place};
  return kKernels;
}

}  // namespace rerank
