// The int8 product on AVX512-VNNI.
#pragma once

#include "finish.h"

namespace rerank {
namespace {

// vpdpbusd multiplies unsigned by signed bytes: weights are kept as w + 128, and 128 times the
// sum of a row's values is what each sum begins below zero with.
constexpr int kWeightOffset = 128;

// A tile of 8 rows x 3 vectors: 24 sums, 3 weights and a broadcast take 28 of 32 registers. At two
// products a cycle a step of the depth takes 12 cycles, more than a product's latency, and its 11
// loads fit in 6. A panel of 48 columns x 384 inputs is 18 KiB and stays in the first cache.
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;
constexpr int kPanelColumns = 16 * kTileVectors;

// sums += weights * values, four products a lane. The instruction itself: of the intrinsic GCC 12
// makes a copy of each sum at each step, half of them in memory, which takes three times as long.
inline void add_products(__m512i& sums, __m512i weights, __m512i values) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(values));
}

struct TileOperands {
  const std::int8_t* values;
  const float* row_scales;
  const std::int32_t* row_sums;
  const std::uint8_t* weights;
  const float* scales;
  const float* bias;
  int inputs;
  float* out;
  std::ptrdiff_t out_stride;
};

template <int kRows, int kVectors, Epilogue kEpilogue>
void dense_tile(const TileOperands& given) {
  __m512i sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    const __m512i start = _mm512_set1_epi32(-kWeightOffset * given.row_sums[row]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[row][v] = start;
  }
  const std::uint8_t* weights = given.weights;
  for (int k = 0; k < given.inputs; k += 4, weights += 64 * kVectors) {
    __m512i columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) columns[v] = _mm512_load_si512(weights + 64 * v);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      std::int32_t four;
      __builtin_memcpy(&four, given.values + row * static_cast<std::ptrdiff_t>(given.inputs) + k,
                       sizeof four);
      const __m512i factors = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        add_products(sums[row][v], columns[v], factors);
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      finish<kEpilogue>(sums[row][v], given.row_scales[row], given.scales + 16 * v,
                        given.bias + 16 * v, given.out + row * given.out_stride + 16 * v);
    }
  }
}

template <int kRows, int kVectors, Epilogue kEpilogue>
void dense_rows(TileOperands given, int rows) {
  for (; rows >= kRows; rows -= kRows) {
    dense_tile<kRows, kVectors, kEpilogue>(given);
    given.values += static_cast<std::ptrdiff_t>(kRows) * given.inputs;
    given.row_scales += kRows;
    given.row_sums += kRows;
    given.out += kRows * given.out_stride;
  }
  if constexpr (kRows > 1) {
    if (rows > 0) dense_rows<kRows - 1, kVectors, kEpilogue>(given, rows);
  }
}

// A panel stays in cache while all rows go by it; the last one may be narrower.
template <int kVectors, Epilogue kEpilogue>
void dense_panels(TileOperands given, int rows, int columns) {
  for (; columns >= 16 * kVectors; columns -= 16 * kVectors) {
    dense_rows<kTileRows, kVectors, kEpilogue>(given, rows);
    given.weights += static_cast<std::ptrdiff_t>(16 * kVectors) * given.inputs;
    given.scales += 16 * kVectors;
    given.bias += 16 * kVectors;
    given.out += 16 * kVectors;
  }
  if constexpr (kVectors > 1) {
    if (columns > 0) dense_panels<kVectors - 1, kEpilogue>(given, rows, columns);
  }
}

inline void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue,
                  float* out, std::ptrdiff_t out_stride) {
  const TileOperands operands{rows.values,  rows.scales, rows.sums,    given.weights, given.scales,
                              given.bias,   given.inputs, out,         out_stride};
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_panels<kTileVectors, Epilogue::kStore>(operands, count, given.outputs);
    case Epilogue::kGelu:
      return dense_panels<kTileVectors, Epilogue::kGelu>(operands, count, given.outputs);
    case Epilogue::kAdd:
      return dense_panels<kTileVectors, Epilogue::kAdd>(operands, count, given.outputs);
  }
}

}  // namespace
}  // namespace rerank
