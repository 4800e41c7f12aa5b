// The kernels of a folder: all the same but for the width of what is multiplied. Included behind the
// folder's dense.h, which says what widths there are.
#pragma once

#include "../kernels.h"
#include "attention.h"
#include "rotation.h"
#include "rows.h"

namespace rerank {
namespace {

template <typename Width>
constexpr Kernels table_of(const char* name, decltype(Kernels::quantise) quantise_row) {
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
