// Sixteen floats in one register. Everything here has internal linkage: compiled with wider
// instructions than the rest of the library, it must not be merged with anything outside.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace rerank {
namespace {

using Floats = __m512;

// The tile of `multiply`: 8 x 3 sums, 3 columns of b and one broadcast fill 28 of 32 registers;
// 24 sums cover latency 4 x 2 multiply-adds a cycle three times over.
constexpr int kMultiplyRows = 8;
constexpr int kMultiplyVectors = 3;

inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Floats v) { _mm512_storeu_ps(to, v); }
inline Floats all(float value) { return _mm512_set1_ps(value); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
inline Floats times_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats smaller(Floats a, Floats b) { return _mm512_min_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats magnitude(Floats a) { return _mm512_abs_ps(a); }
// Of two magnitudes. Their bits are ordered as they are, with NaN above infinity: it is kept.
inline Floats larger_magnitude(Floats a, Floats b) {
  return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
inline Floats nearest(Floats a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// a * 2^n for whole n; exact as long as the result is a normal number.
inline Floats times_power_of_two(Floats a, Floats n) { return _mm512_scalef_ps(a, n); }

// Each lane from the one that is kApart (1, 2, 4 or 8) lanes away.
template <int kApart>
inline Floats exchange(Floats v) {
  if constexpr (kApart == 1) return _mm512_permute_ps(v, 0xb1);
  if constexpr (kApart == 2) return _mm512_permute_ps(v, 0x4e);
  if constexpr (kApart == 4) return _mm512_shuffle_f32x4(v, v, 0xb1);
  if constexpr (kApart == 8) return _mm512_shuffle_f32x4(v, v, 0x4e);
}

// The first `count` (1 to 16) lanes of a, then `other`.
inline Floats first(int count, Floats a, Floats other) {
  return _mm512_mask_blend_ps(static_cast<__mmask16>((1u << count) - 1), other, a);
}

// Halves onto each other, four times: the order of additions that every instruction set keeps.
inline float sum(Floats v) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four =
      _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline float largest(Floats v) { return _mm512_reduce_max_ps(v); }
inline float largest_magnitude(Floats v) {
  return _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(v)))));
}

// Writes 64 int8, rounded to the nearest (ties to even); returns their sum lane by lane.
using Counts = __m512i;
inline Counts no_counts() { return _mm512_setzero_si512(); }
inline Counts store_rounded(std::int8_t* to, Floats a, Floats b, Floats c, Floats d,
                            Counts counts) {
  // Packing works within quarters of a register: it leaves four bytes of a, b, c and d in each.
  const __m512i quarters = _mm512_packs_epi16(
      _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b)),
      _mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d)));
  const __m512i order =
      _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const __m512i bytes = _mm512_permutexvar_epi32(order, quarters);
  _mm512_storeu_si512(to, bytes);
  return _mm512_dpbusd_epi32(counts, _mm512_set1_epi8(1), bytes);
}
// The same of 64 int16.
inline Counts store_rounded(std::int16_t* to, Floats a, Floats b, Floats c, Floats d,
                            Counts counts) {
  const __m512i whole[] = {_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b), _mm512_cvtps_epi32(c),
                           _mm512_cvtps_epi32(d)};
  for (int i = 0; i < 4; ++i) {
    counts = _mm512_add_epi32(counts, whole[i]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16 * i), _mm512_cvtepi32_epi16(whole[i]));
  }
  return counts;
}
inline std::int32_t sum(Counts counts) { return _mm512_reduce_add_epi32(counts); }

// Rows of 16 floats become columns: out[column][row], rows from `count` on read as zero.
inline void transpose(const float* rows, std::ptrdiff_t stride, int count, float* out,
                      std::ptrdiff_t out_stride) {
  Floats r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = i < count ? load(rows + i * stride) : _mm512_setzero_ps();
  const auto low = [](Floats a, Floats b) { return _mm512_unpacklo_ps(a, b); };
  const auto high = [](Floats a, Floats b) { return _mm512_unpackhi_ps(a, b); };
  const auto low_pairs = [](Floats a, Floats b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  const auto high_pairs = [](Floats a, Floats b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  // First within lanes of four floats, then whole lanes.
  for (int i = 0; i < 16; i += 2) {
    t[i] = low(r[i], r[i + 1]);
    t[i + 1] = high(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = low_pairs(t[i], t[i + 2]);
    r[i + 1] = high_pairs(t[i], t[i + 2]);
    r[i + 2] = low_pairs(t[i + 1], t[i + 3]);
    r[i + 3] = high_pairs(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 4; ++j) {
      t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + 4 + j], 0x88);
      t[i + 4 + j] = _mm512_shuffle_f32x4(r[i + j], r[i + 4 + j], 0xdd);
    }
  }
  for (int j = 0; j < 8; ++j) {
    store(out + j * out_stride, _mm512_shuffle_f32x4(t[j], t[8 + j], 0x88));
    store(out + (8 + j) * out_stride, _mm512_shuffle_f32x4(t[j], t[8 + j], 0xdd));
  }
}

}  // namespace
}  // namespace rerank
