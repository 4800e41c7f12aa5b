// Sixteen floats in two registers, so that sums go in the same order as with AVX-512. Everything
// here has internal linkage, see avx512/floats.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace rerank {
namespace {

struct Floats {
  __m256 low, high;
};

// The tile of `multiply`: 4 x 1 sums of two registers each, b and one broadcast fill 11 of 16.
constexpr int kMultiplyRows = 4;
constexpr int kMultiplyVectors = 1;

inline Floats load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void store(float* to, Floats v) {
  _mm256_storeu_ps(to, v.low);
  _mm256_storeu_ps(to + 8, v.high);
}
inline Floats all(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
inline Floats add(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Floats subtract(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Floats times(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Floats divide(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Floats times_add(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Floats smaller(Floats a, Floats b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline Floats larger(Floats a, Floats b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Floats magnitude(Floats a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
// Of two magnitudes. Their bits are ordered as they are, with NaN above infinity: it is kept.
inline __m256 larger_magnitude(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
inline Floats larger_magnitude(Floats a, Floats b) {
  return {larger_magnitude(a.low, b.low), larger_magnitude(a.high, b.high)};
}
inline Floats nearest(Floats a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kMode), _mm256_round_ps(a.high, kMode)};
}

// a * 2^n for whole n between -126 and 127; exact as long as the result is a normal number.
inline __m256 times_power_of_two(__m256 a, __m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
inline Floats times_power_of_two(Floats a, Floats n) {
  return {times_power_of_two(a.low, n.low), times_power_of_two(a.high, n.high)};
}

// Each lane from the one that is kApart (1, 2, 4 or 8) lanes away.
template <int kApart>
inline Floats exchange(Floats v) {
  if constexpr (kApart == 1) return {_mm256_permute_ps(v.low, 0xb1), _mm256_permute_ps(v.high, 0xb1)};
  if constexpr (kApart == 2) return {_mm256_permute_ps(v.low, 0x4e), _mm256_permute_ps(v.high, 0x4e)};
  if constexpr (kApart == 4) {
    return {_mm256_permute2f128_ps(v.low, v.low, 1), _mm256_permute2f128_ps(v.high, v.high, 1)};
  }
  if constexpr (kApart == 8) return {v.high, v.low};
}

// The first `count` (1 to 16) lanes of a, then `other`.
inline Floats first(int count, Floats a, Floats other) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const auto blend = [&](int wanted, __m256 x, __m256 y) {
    const __m256i chosen = _mm256_cmpgt_epi32(_mm256_set1_epi32(wanted), lanes);
    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(chosen));
  };
  return {blend(count, a.low, other.low), blend(count - 8, a.high, other.high)};
}

// Halves onto each other, four times: the order of additions that every instruction set keeps.
inline float sum(Floats v) {
  const __m256 eight = _mm256_add_ps(v.low, v.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline float largest_magnitude(Floats v) {
  const __m256i eight = _mm256_castps_si256(larger_magnitude(v.low, v.high));
  const __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1))));
}

// Writes 16 values, rounded to the nearest (ties to even); returns their sum lane by lane.
using Counts = __m256i;
inline Counts no_counts() { return _mm256_setzero_si256(); }
inline Counts store_sixteen(std::int8_t* to, Floats v, Counts counts) {
  const __m256i low = _mm256_cvtps_epi32(v.low), high = _mm256_cvtps_epi32(v.high);
  // Packing works within halves of a register: 0 1 2 3, 8 9 .. 11, 4 .. 7, 12 .. 15.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  return _mm256_add_epi32(counts, _mm256_add_epi32(low, high));
}
inline Counts store_sixteen(std::int16_t* to, Floats v, Counts counts) {
  const __m256i low = _mm256_cvtps_epi32(v.low), high = _mm256_cvtps_epi32(v.high);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), words);
  return _mm256_add_epi32(counts, _mm256_add_epi32(low, high));
}
template <typename Value>
Counts store_rounded(Value* to, Floats a, Floats b, Floats c, Floats d,
                            Counts counts) {
  counts = store_sixteen(to, a, counts);
  counts = store_sixteen(to + 16, b, counts);
  counts = store_sixteen(to + 32, c, counts);
  return store_sixteen(to + 48, d, counts);
}
inline std::int32_t sum(Counts counts) {
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(counts), _mm256_extracti128_si256(counts, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

// Rows of 16 floats become columns: out[column][row], rows from `count` on read as zero.
inline void transpose(const float* rows, std::ptrdiff_t stride, int count, float* out,
                      std::ptrdiff_t out_stride) {
  for (int column = 0; column < 16; ++column) {
    for (int row = 0; row < 16; ++row) {
      out[column * out_stride + row] = row < count ? rows[row * stride + column] : 0.0f;
    }
  }
}

}  // namespace
}  // namespace rerank
