// Attention of one row in float: scores, softmax, values.
#pragma once

#include "../kernels.h"
#include "functions.h"
#include "multiply.h"

namespace rerank {
namespace {

// Scores of one query, in place; the lanes from `tokens` on become zero.
inline void softmax(float* scores, int tokens, int padded) {
  constexpr float kNever = -1e30f;
  const int last = padded - 16;
  store(scores + last, first(tokens - last, load(scores + last), all(kNever)));
  Floats most = load(scores);
  for (int j = 16; j < padded; j += 16) most = larger(most, load(scores + j));
  const Floats peak = all(largest(most));
  Floats total = all(0.0f);
  for (int j = 0; j < padded; j += 16) {
    Floats share = exponential(subtract(load(scores + j), peak));
    if (j == last) share = first(tokens - last, share, all(0.0f));
    total = add(total, share);
    store(scores + j, share);
  }
  const Floats inverse = all(1.0f / sum(total));
  for (int j = 0; j < padded; j += 16) store(scores + j, times(load(scores + j), inverse));
}

inline void attention(const Attention& given) {
  const int padded = (given.tokens + 15) / 16 * 16;
  const int width = given.head_columns;
  float* keys = given.scratch;  // transposed: [column of the head][token]
  float* scores = keys + static_cast<std::ptrdiff_t>(width) * padded;
  for (int head = 0; head < given.heads; ++head) {
    const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(head) * width;
    for (int token = 0; token < given.tokens; token += 16) {
      const float* rows = given.key + token * given.key_stride + column;
      for (int d = 0; d < width; d += 16) {
        transpose(rows + d, given.key_stride, given.tokens - token, keys + d * padded + token,
                  padded);
      }
    }
    for (int query = 0; query < given.queries; query += kAttentionQueries) {
      const int left = given.queries - query;
      const int rows = left < kAttentionQueries ? left : kAttentionQueries;
      multiply(given.query + query * given.query_stride + column, given.query_stride, rows, keys,
               padded, width, padded, scores, padded);
      for (int row = 0; row < rows; ++row) softmax(scores + row * padded, given.tokens, padded);
      multiply(scores, padded, rows, given.value + column, given.key_stride, given.tokens, width,
               given.out + query * given.out_stride + column, given.out_stride);
    }
  }
}

}  // namespace
}  // namespace rerank
