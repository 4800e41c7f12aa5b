// Rotates activations so that int8 fits them: no channel stands out after it.
#pragma once

#include "../kernels.h"
#include "../sizes.h"

namespace rerank {
namespace {

// Sums and differences of lanes that are kApart lanes from each other.
template <int kApart>
inline Floats butterfly(Floats v) {
  alignas(64) static constexpr float kSigns[16] = {
      1,
      1 & kApart ? -1 : 1,
      2 & kApart ? -1 : 1,
      3 & kApart ? -1 : 1,
      4 & kApart ? -1 : 1,
      5 & kApart ? -1 : 1,
      6 & kApart ? -1 : 1,
      7 & kApart ? -1 : 1,
      8 & kApart ? -1 : 1,
      9 & kApart ? -1 : 1,
      10 & kApart ? -1 : 1,
      11 & kApart ? -1 : 1,
      12 & kApart ? -1 : 1,
      13 & kApart ? -1 : 1,
      14 & kApart ? -1 : 1,
      15 & kApart ? -1 : 1,
  };
  // Times one: exact, so this rounds once as an addition does.
  return times_add(v, load(kSigns), exchange<kApart>(v));
}

constexpr int kRotatedVectors = kRotated / 16;

// One block of kRotated columns, in registers.
inline void rotate_block(Floats (&v)[kRotatedVectors]) {
#pragma GCC unroll 8
  for (int i = 0; i < kRotatedVectors; ++i) {
    v[i] = butterfly<8>(butterfly<4>(butterfly<2>(butterfly<1>(v[i]))));
  }
#pragma GCC unroll 3
  for (int apart = 1; apart < kRotatedVectors; apart *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < kRotatedVectors; ++i) {
      if (i & apart) continue;
      const Floats sum = add(v[i], v[i + apart]);
      v[i + apart] = subtract(v[i], v[i + apart]);
      v[i] = sum;
    }
  }
}

// out = x H, H the Hadamard matrix of kRotated columns (entries of one, not scaled), block by
// block; in place where out is x. Scaled by the root of kRotated it is orthogonal, so with weights
// turned by it, too, products stay what they were.
inline void rotate(const float* x, int columns, float* out) {
  for (int block = 0; block < columns; block += kRotated) {
    Floats v[kRotatedVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRotatedVectors; ++i) v[i] = load(x + block + 16 * i);
    rotate_block(v);
#pragma GCC unroll 8
    for (int i = 0; i < kRotatedVectors; ++i) store(out + block + 16 * i, v[i]);
  }
}

}  // namespace
}  // namespace rerank
