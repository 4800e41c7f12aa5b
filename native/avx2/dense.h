// The product of rounded values on AVX2, of either width.
#pragma once

#include "floats.h"
#include "../generic/epilogue.h"

namespace rerank {
namespace {

constexpr int kPanelColumns = 16;

// sums += terms. The instruction itself: of the intrinsic GCC 12 copies every sum at every step,
// some of them to memory.
inline void add_to(__m256i& sums, __m256i terms) {
  __asm__("vpaddd %1, %0, %0" : "+x"(sums) : "x"(terms));
}

// A tile is so many rows x 2 registers, and fills 16 of them.

// Four products a lane. vpmaddubsw multiplies unsigned by signed bytes and adds pairs into int16:
// |a| times w with a's sign is exact, since two products of at most 127 x 127 stay below 32,768.
struct Int8 {
  using Value = std::int8_t;
  static constexpr int kProducts = 4;
  static constexpr int kWeightOffset = 0;
  static constexpr int kTileRows = 4;  // 8 sums, 2 weights, a, |a|, ones and what is in flight

  static void add_products(__m256i& sums, __m256i weights, __m256i values) {
    add_bare(sums, _mm256_sign_epi8(weights, values), _mm256_abs_epi8(values));
  }

  static void add_bare(__m256i& sums, __m256i weights, __m256i magnitudes) {
    const __m256i pairs = _mm256_maddubs_epi16(magnitudes, weights);
    add_to(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

// Two products a lane, in half the instructions: about as fast as int8 where weights are read for
// more than a few rows, since they take twice the bytes, and 9 to 18 times as fine at MiniLM's widths.
struct Int16 {
  using Value = std::int16_t;
  static constexpr int kProducts = 2;
  static constexpr int kWeightOffset = 0;
  static constexpr int kTileRows = 6;  // 12 sums, 2 weights, a and a product

  static void add_products(__m256i& sums, __m256i weights, __m256i values) {
    add_bare(sums, weights, values);
  }

  static void add_bare(__m256i& sums, __m256i weights, __m256i values) {
    add_to(sums, _mm256_madd_epi16(weights, values));
  }
};

// Rows and weights are walked in bytes, four a step for either width.
template <typename Width, int kRows, Epilogue kEpilogue>
void dense_tile(const std::byte* values, const float* row_scales, const std::uint8_t* weights,
                const float* scales, const float* bias, std::ptrdiff_t row_bytes, float* out,
                std::ptrdiff_t out_stride) {
  __m256i low[kRows], high[kRows];
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row) low[row] = high[row] = _mm256_setzero_si256();
  for (std::ptrdiff_t at = 0; at < row_bytes; at += 4, weights += 64) {
    const __m256i left = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights));
    const __m256i right = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + 32));
#pragma GCC unroll 6
    for (int row = 0; row < kRows; ++row) {
      std::int32_t four;
      __builtin_memcpy(&four, values + row * row_bytes + at, sizeof four);
      const __m256i factors = _mm256_set1_epi32(four);
      Width::add_products(low[row], left, factors);
      Width::add_products(high[row], right, factors);
    }
  }
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row) {
    Floats y[1] = {{_mm256_cvtepi32_ps(low[row]), _mm256_cvtepi32_ps(high[row])}};
    finish<kEpilogue>(y, row_scales[row], scales, bias, out + row * out_stride);
  }
}

template <typename Width, int kRows, Epilogue kEpilogue>
void dense_rows(const QuantisedRows& rows, int begin, int count, const Dense& given, int column,
                float* out, std::ptrdiff_t out_stride) {
  const std::ptrdiff_t row_bytes =
      static_cast<std::ptrdiff_t>(given.inputs) * sizeof(typename Width::Value);
  int row = begin;
  for (; count - row >= kRows; row += kRows) {
    dense_tile<Width, kRows, kEpilogue>(rows.values + row * row_bytes, rows.scales + row,
                                        given.weights + column * row_bytes, given.scales + column,
                                        given.bias + column, row_bytes,
                                        out + row * out_stride + column, out_stride);
  }
  if constexpr (kRows > 1) {
    if (row < count) {
      dense_rows<Width, kRows - 1, kEpilogue>(rows, row, count, given, column, out, out_stride);
    }
  }
}

template <typename Width, Epilogue kEpilogue>
void dense_panels(const QuantisedRows& rows, int count, const Dense& given, float* out,
                  std::ptrdiff_t out_stride) {
  for (int column = 0; column < given.outputs; column += kPanelColumns) {
    dense_rows<Width, Width::kTileRows, kEpilogue>(rows, 0, count, given, column, out, out_stride);
  }
}

template <typename Width>
void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue, float* out,
           std::ptrdiff_t out_stride) {
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_panels<Width, Epilogue::kStore>(rows, count, given, out, out_stride);
    case Epilogue::kAdd:
      return dense_panels<Width, Epilogue::kAdd>(rows, count, given, out, out_stride);
    case Epilogue::kGeluRotated:
      dense_panels<Width, Epilogue::kStore>(rows, count, given, out, out_stride);
      // A tile is too narrow to be rotated while it is in registers.
      for (int row = 0; row < count; ++row) {
        float* at = out + row * out_stride;
        gelu_in_place(at, given.outputs);
        rotate(at, given.outputs, at);
      }
      return;
  }
}

template <typename Width>
double peak(std::int64_t steps) {
  constexpr int kSums = 8;
  __m256i sums[kSums];
  const __m256i weights = _mm256_set1_epi8(1);
  __m256i values = _mm256_set1_epi8(1);
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_si256();
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      __asm__("" : "+x"(values));  // hides that it is the same each time
      Width::add_bare(sums[i], weights, values);
    }
  }
  __m256i read = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) read = _mm256_xor_si256(read, sums[i]);
  __asm__ volatile("" : : "x"(read));  // so that none of it is left out
  return 2.0 * 8 * Width::kProducts * kSums * static_cast<double>(steps);
}

}  // namespace
}  // namespace rerank
