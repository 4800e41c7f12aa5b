// The epilogue of sixteen sums of int8 products.
#pragma once

#include "floats.h"
#include "../generic/epilogue.h"

namespace rerank {
namespace {

template <Epilogue kEpilogue>
void finish(__m512i sums, float row_scale, const float* scales, const float* bias, float* out) {
  finish<kEpilogue>(_mm512_cvtepi32_ps(sums), row_scale, load(scales), load(bias), out);
}

}  // namespace
}  // namespace rerank
