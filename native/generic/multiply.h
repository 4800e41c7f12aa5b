// Products of float matrices: attention's two, and the heads'.
#pragma once

#include "../kernels.h"

namespace rerank {
namespace {

// One tile of kRows x 16 kVectors sums held in registers; each sum runs over the depth in order,
// so that it does not depend on the tile it is computed in.
template <int kRows, int kVectors>
void multiply_tile(const Operands& given) {
  Floats sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[row][v] = all(0.0f);
  }
  const float* a = given.a;
  const float* b = given.b;
  for (int k = 0; k < given.depth; ++k, a += given.a_step, b += given.b_stride) {
    Floats columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) columns[v] = load(b + 16 * v);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const Floats factor = all(a[row * given.a_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[row][v] = times_add(factor, columns[v], sums[row][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(given.out + row * given.out_stride + 16 * v, sums[row][v]);
    }
  }
}

template <int kRows, int kVectors>
void multiply_columns(Operands given, int columns) {
  int done = 0;
  for (; columns - done >= 16 * kVectors; done += 16 * kVectors) {
    multiply_tile<kRows, kVectors>(given);
    given.b += 16 * kVectors;
    given.out += 16 * kVectors;
  }
  if constexpr (kVectors > 1) {
    if (done < columns) multiply_columns<kRows, kVectors - 1>(given, columns - done);
  }
}

template <int kRows>
void multiply_rows(Operands given, int rows, int columns) {
  for (; rows >= kRows; rows -= kRows) {
    multiply_columns<kRows, kMultiplyVectors>(given, columns);
    given.a += kRows * given.a_stride;
    given.out += kRows * given.out_stride;
  }
  if constexpr (kRows > 1) {
    if (rows > 0) multiply_rows<kRows - 1>(given, rows, columns);
  }
}

// out[row][column] = sum over k of a[row][k] b[k][column], columns a multiple of 16.
inline void multiply(const Operands& given, int rows, int columns) {
  multiply_rows<kMultiplyRows>(given, rows, columns);
}

}  // namespace
}  // namespace rerank
