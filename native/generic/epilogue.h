// From a sum of int8 products to what is stored.
#pragma once

#include "../kernels.h"
#include "functions.h"

namespace rerank {
namespace {

template <Epilogue kEpilogue>
void finish(Floats sum, float row_scale, Floats scale, Floats bias, float* out) {
  Floats y = times_add(times(sum, all(row_scale)), scale, bias);
  if constexpr (kEpilogue == Epilogue::kGelu) y = gelu(y);
  if constexpr (kEpilogue == Epilogue::kAdd) y = add(y, load(out));
  store(out, y);
}

}  // namespace
}  // namespace rerank
