// The kernels of AVX512-VNNI: all the same but for the width of what is multiplied.
#pragma once

#include "../kernels.h"

#include "dense.h"
#include "../generic/attention.h"
#include "../generic/rotation.h"
#include "../generic/rows.h"

namespace rerank {
namespace {

template <typename Width>
constexpr Kernels avx512_table(const char* name, decltype(Kernels::quantise) quantise_row) {
  return {name,
          sizeof(typename Width::Value),
          kPanelColumns,
          Width::kWeightOffset,
          nullptr,
          nullptr,
          dense<Width>,
          rotate,
          quantise_row,
          layer_norm,
          attention,
          multiply,
          peak<Width>,
          tanh_in_place,
          gelu_in_place};
}

}  // namespace
}  // namespace rerank
