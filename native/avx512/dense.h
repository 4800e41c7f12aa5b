// The product of rounded values on AVX512-VNNI, of either width.
#pragma once

#include "floats.h"
#include "../generic/epilogue.h"

namespace rerank {
namespace {

// A tile of 6 rows x 4 vectors, of either width: 24 sums, 4 weights and a broadcast take 29 of 32
// registers. At two products a cycle a step of the depth takes 12 cycles, more than a product's
// latency, and its 10 loads fit in 5. Four vectors are a block that is rotated together. A panel of
// 64 columns x 384 inputs is 24 KiB in int8 and stays in the first cache; in int16 it is 48.
constexpr int kTileRows = 6;
constexpr int kTileVectors = kRotatedVectors;
constexpr int kPanelColumns = 16 * kTileVectors;
static_assert(kTileColumns % kPanelColumns == 0, "every panel is whole");

// sums += weights * values. The instructions themselves: of the intrinsics GCC 12 makes a copy of
// each sum at each step, half of them in memory, which takes three times as long.

// Four products a lane, of unsigned by signed bytes: weights are kept as w + 128, and 128 times the
// sum of a row's values is what each sum begins below zero with.
struct Int8 {
  using Value = std::int8_t;
  static constexpr int kProducts = 4;
  static constexpr int kWeightOffset = 128;

  static void add_products(__m512i& sums, __m512i weights, __m512i values) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(values));
  }
};

// Two products a lane, so twice the instructions, and 9 to 18 times as fine at MiniLM's widths.
struct Int16 {
  using Value = std::int16_t;
  static constexpr int kProducts = 2;
  static constexpr int kWeightOffset = 0;

  static void add_products(__m512i& sums, __m512i weights, __m512i values) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(values));
  }
};

// Rows and weights are walked in bytes, four a step for either width.
struct TileOperands {
  const std::byte* values;
  const float* row_scales;
  const std::int32_t* row_sums;
  const std::uint8_t* weights;
  const float* scales;
  const float* bias;
  std::ptrdiff_t row_bytes;
  float* out;
  std::ptrdiff_t out_stride;
};

template <typename Width, int kRows, Epilogue kEpilogue>
void dense_tile(const TileOperands& given) {
  __m512i sums[kRows][kTileVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    const __m512i start = _mm512_set1_epi32(-Width::kWeightOffset * given.row_sums[row]);
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) sums[row][v] = start;
  }
  const std::uint8_t* weights = given.weights;
  for (std::ptrdiff_t at = 0; at < given.row_bytes; at += 4, weights += 64 * kTileVectors) {
    __m512i columns[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) columns[v] = _mm512_load_si512(weights + 64 * v);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      std::int32_t four;
      __builtin_memcpy(&four, given.values + row * given.row_bytes + at, sizeof four);
      const __m512i factors = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) {
        Width::add_products(sums[row][v], columns[v], factors);
      }
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    Floats y[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) y[v] = _mm512_cvtepi32_ps(sums[row][v]);
    finish<kEpilogue>(y, given.row_scales[row], given.scales, given.bias,
                      given.out + row * given.out_stride);
  }
}

template <typename Width, int kRows, Epilogue kEpilogue>
void dense_rows(TileOperands given, int rows) {
  for (; rows >= kRows; rows -= kRows) {
    dense_tile<Width, kRows, kEpilogue>(given);
    given.values += kRows * given.row_bytes;
    given.row_scales += kRows;
    given.row_sums += kRows;
    given.out += kRows * given.out_stride;
  }
  if constexpr (kRows > 1) {
    if (rows > 0) dense_rows<Width, kRows - 1, kEpilogue>(given, rows);
  }
}

// A panel stays in cache while all rows go by it.
template <typename Width, Epilogue kEpilogue>
void dense_panels(TileOperands given, int rows, int columns) {
  for (; columns > 0; columns -= kPanelColumns) {
    dense_rows<Width, kTileRows, kEpilogue>(given, rows);
    given.weights += kPanelColumns * given.row_bytes;
    given.scales += kPanelColumns;
    given.bias += kPanelColumns;
    given.out += kPanelColumns;
  }
}

template <typename Width>
void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue, float* out,
           std::ptrdiff_t out_stride) {
  const std::ptrdiff_t row_bytes =
      static_cast<std::ptrdiff_t>(given.inputs) * sizeof(typename Width::Value);
  const TileOperands operands{rows.values, rows.scales, rows.sums, given.weights, given.scales,
                              given.bias,  row_bytes,   out,       out_stride};
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_panels<Width, Epilogue::kStore>(operands, count, given.outputs);
    case Epilogue::kGeluRotated:
      return dense_panels<Width, Epilogue::kGeluRotated>(operands, count, given.outputs);
    case Epilogue::kAdd:
      return dense_panels<Width, Epilogue::kAdd>(operands, count, given.outputs);
  }
}

template <typename Width>
double peak(std::int64_t steps) {
  __m512i sums[kTileRows][kTileVectors];
  const __m512i weights = _mm512_set1_epi8(1), values = _mm512_set1_epi8(2);
#pragma GCC unroll 8
  for (int row = 0; row < kTileRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) sums[row][v] = _mm512_setzero_si512();
  }
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int row = 0; row < kTileRows; ++row) {
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) Width::add_products(sums[row][v], weights, values);
    }
  }
  __m512i read = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int row = 0; row < kTileRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) read = _mm512_xor_si512(read, sums[row][v]);
  }
  __asm__ volatile("" : : "v"(read));  // so that none of it is left out
  return 2.0 * 16 * Width::kProducts * kTileRows * kTileVectors * static_cast<double>(steps);
}

}  // namespace
}  // namespace rerank
