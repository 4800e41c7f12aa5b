// The int8 product on AVX2.
#pragma once

#include "floats.h"
#include "../generic/epilogue.h"

namespace rerank {
namespace {

// vpmaddubsw multiplies unsigned by signed bytes and adds pairs into int16: |a| times w with a's
// sign is exact, since two products of at most 127 x 127 stay below 32,768.
constexpr int kWeightOffset = 0;
constexpr int kPanelColumns = 16;

// A tile of 4 rows x 2 registers: 8 sums, 2 weights, a, |a|, ones and what is in flight fill 16.
constexpr int kTileRows = 4;

inline __m256i products(__m256i sums, __m256i weights, __m256i values, __m256i magnitudes) {
  const __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(weights, values));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

template <int kRows, Epilogue kEpilogue>
void dense_tile(const std::int8_t* values, const float* row_scales, const std::uint8_t* weights,
                const float* scales, const float* bias, int inputs, float* out,
                std::ptrdiff_t out_stride) {
  __m256i low[kRows], high[kRows];
#pragma GCC unroll 4
  for (int row = 0; row < kRows; ++row) low[row] = high[row] = _mm256_setzero_si256();
  for (int k = 0; k < inputs; k += 4, weights += 64) {
    const __m256i left = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights));
    const __m256i right = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + 32));
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row) {
      std::int32_t four;
      __builtin_memcpy(&four, values + row * static_cast<std::ptrdiff_t>(inputs) + k, sizeof four);
      const __m256i factors = _mm256_set1_epi32(four);
      const __m256i magnitudes = _mm256_abs_epi8(factors);
      low[row] = products(low[row], left, factors, magnitudes);
      high[row] = products(high[row], right, factors, magnitudes);
    }
  }
#pragma GCC unroll 4
  for (int row = 0; row < kRows; ++row) {
    Floats y[1] = {{_mm256_cvtepi32_ps(low[row]), _mm256_cvtepi32_ps(high[row])}};
    finish<kEpilogue>(y, row_scales[row], scales, bias, out + row * out_stride);
  }
}

template <int kRows, Epilogue kEpilogue>
void dense_rows(const QuantisedRows& rows, int begin, int count, const Dense& given, int column,
                float* out, std::ptrdiff_t out_stride) {
  int row = begin;
  for (; count - row >= kRows; row += kRows) {
    dense_tile<kRows, kEpilogue>(rows.values + row * static_cast<std::ptrdiff_t>(given.inputs),
                                 rows.scales + row,
                                 given.weights + column * static_cast<std::ptrdiff_t>(given.inputs),
                                 given.scales + column, given.bias + column, given.inputs,
                                 out + row * out_stride + column, out_stride);
  }
  if constexpr (kRows > 1) {
    if (row < count) {
      dense_rows<kRows - 1, kEpilogue>(rows, row, count, given, column, out, out_stride);
    }
  }
}

template <Epilogue kEpilogue>
void dense_panels(const QuantisedRows& rows, int count, const Dense& given, float* out,
                  std::ptrdiff_t out_stride) {
  for (int column = 0; column < given.outputs; column += kPanelColumns) {
    dense_rows<kTileRows, kEpilogue>(rows, 0, count, given, column, out, out_stride);
  }
}

inline void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue,
                  float* out, std::ptrdiff_t out_stride) {
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_panels<Epilogue::kStore>(rows, count, given, out, out_stride);
    case Epilogue::kAdd:
      return dense_panels<Epilogue::kAdd>(rows, count, given, out, out_stride);
    case Epilogue::kGeluRotated:
      dense_panels<Epilogue::kStore>(rows, count, given, out, out_stride);
      // A tile is too narrow to be rotated while it is in registers.
      for (int row = 0; row < count; ++row) {
        float* at = out + row * out_stride;
        gelu_in_place(at, given.outputs);
        rotate(at, given.outputs, at);
      }
      return;
  }
}

inline double peak(std::int64_t steps) {
  constexpr int kSums = 2 * kTileRows;
  __m256i sums[kSums];
  __m256i values = _mm256_set1_epi8(1);
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_si256();
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      __asm__("" : "+x"(values));  // hides that it is the same each time
      const __m256i pairs = _mm256_maddubs_epi16(values, values);
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }
  __m256i read = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) read = _mm256_xor_si256(read, sums[i]);
  __asm__ volatile("" : : "x"(read));  // so that none of it is left out
  return 2.0 * 32 * kSums * static_cast<double>(steps);
}

}  // namespace
}  // namespace rerank
