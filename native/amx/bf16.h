// Floats as bfloat16, two in a lane, as the tiles' bf16 product takes them.
#pragma once

#include "../avx512/floats.h"

namespace rerank {
namespace {

// Lane i: element 2 i of (low, high) laid end to end, and above it element 2 i + 1. Rounded to the
// nearest, ties to even.
inline __m512i bf16_neighbours(Floats low, Floats high);

// Lane i: element i of `first`, and above it element i of `second`.
inline __m512i bf16_interleaved(Floats first, Floats second) {
  alignas(64) static constexpr std::int16_t kOrder[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), bf16_neighbours(first, second));
}

#ifdef RERANK_EMULATED_TILES

inline __m256i bf16_rounded(Floats v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

inline __m512i bf16_neighbours(Floats low, Floats high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(bf16_rounded(low)), bf16_rounded(high), 1);
}

#else

inline __m512i bf16_neighbours(Floats low, Floats high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

#endif

}  // namespace
}  // namespace rerank
