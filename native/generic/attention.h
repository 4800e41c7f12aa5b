// Attention of one row in float: scores, softmax, values.
//
// Scores lie as [token][query], with queries side by side in the lanes. A query's softmax then runs
// down its own lane, nothing is summed across lanes, and neither keys nor values are copied.
#pragma once

#include "../kernels.h"
#include "functions.h"
#include "multiply.h"

namespace rerank {
namespace {

// exp(score - the query's largest) in place, and the reciprocals of their sums.
inline void softmax(float* scores, int tokens, int queries, float* reciprocals) {
  const float* end = scores + static_cast<std::ptrdiff_t>(tokens) * queries;
  for (int lane = 0; lane < queries; lane += 16) {
    Floats most = load(scores + lane);
    for (const float* at = scores + queries + lane; at < end; at += queries) {
      most = larger(most, load(at));
    }
    Floats total = all(0.0f);
    for (float* at = scores + lane; at < end; at += queries) {
      const Floats share = exponential(subtract(load(at), most));
      total = add(total, share);
      store(at, share);
    }
    store(reciprocals + lane, divide(all(1.0f), total));
  }
}

// Queries that go over keys and values together; the lanes past the last one hold zeros.
inline void attend(const Attention& given, int head, int first_query, int count) {
  const int width = given.head_columns;
  const int padded = (count + 15) / 16 * 16;
  const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(head) * width;
  float* reciprocals = given.scratch;
  float* queries = reciprocals + kAttentionQueries;  // [column of the head][query]
  float* scores = queries + static_cast<std::ptrdiff_t>(width) * padded;
  const float* from = given.query + first_query * given.query_stride + column;
  for (int query = 0; query < count; query += 16) {
    for (int d = 0; d < width; d += 16) {
      transpose(from + query * given.query_stride + d, given.query_stride, count - query,
                queries + d * padded + query, padded);
    }
  }
  multiply({given.key + column, given.key_stride, 1, queries, padded, width, scores, padded},
           given.tokens, padded);
  softmax(scores, given.tokens, padded, reciprocals);
  float* out = given.out + first_query * given.out_stride + column;
  multiply({scores, 1, padded, given.value + column, given.key_stride, given.tokens, out,
            given.out_stride},
           count, width);
  for (int query = 0; query < count; ++query) {
    float* row = out + query * given.out_stride;
    const Floats reciprocal = all(reciprocals[query]);
    for (int d = 0; d < width; d += 16) store(row + d, times(load(row + d), reciprocal));
  }
}

inline void attention(const Attention& given) {
  for (int head = 0; head < given.heads; ++head) {
    for (int query = 0; query < given.queries; query += kAttentionQueries) {
      const int left = given.queries - query;
      attend(given, head, query, left < kAttentionQueries ? left : kAttentionQueries);
    }
  }
}

}  // namespace
}  // namespace rerank
