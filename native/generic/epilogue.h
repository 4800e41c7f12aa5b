// From sums of int8 products to what is stored.
#pragma once

#include "../kernels.h"
#include "functions.h"
#include "rotation.h"

namespace rerank {
namespace {

// Neighbouring columns of one row. Rotation wants a whole block of them.
template <Epilogue kEpilogue, int kVectors>
void finish(Floats (&y)[kVectors], float row_scale, const float* scales, const float* bias,
            float* out) {
  const Floats scale = all(row_scale);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    y[v] = times_add(times(y[v], scale), load(scales + 16 * v), load(bias + 16 * v));
    if constexpr (kEpilogue == Epilogue::kAdd) y[v] = add(y[v], load(out + 16 * v));
    if constexpr (kEpilogue == Epilogue::kGeluRotated) y[v] = gelu(y[v]);
  }
  if constexpr (kEpilogue == Epilogue::kGeluRotated) rotate_block(y);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) store(out + 16 * v, y[v]);
}

}  // namespace
}  // namespace rerank
