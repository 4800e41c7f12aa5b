// What is done to one row of activations between two products.
#pragma once

#include "../kernels.h"

namespace rerank {
namespace {

inline float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

inline void layer_norm(float* x, int width, int columns, const float* scale, const float* shift,
                       float epsilon) {
  // Two sums at a time: one would wait for itself.
  Floats even = all(0.0f), odd = all(0.0f);
  for (int i = 0; i < columns; i += 32) {
    even = add(even, load(x + i));
    odd = add(odd, load(x + i + 16));
  }
  const Floats mean = all(sum(add(even, odd)) / static_cast<float>(width));

  even = odd = all(0.0f);
  const int full = width / 16 * 16;
  for (int i = 0; i < full; i += 16) {
    const Floats centred = subtract(load(x + i), mean);
    even = times_add(centred, centred, even);
    const Floats swap = even;
    even = odd;
    odd = swap;
  }
  if (full < width) {
    const Floats centred = first(width - full, subtract(load(x + full), mean), all(0.0f));
    even = times_add(centred, centred, even);
  }
  const float variance = sum(add(even, odd)) / static_cast<float>(width);

  const Floats inverse = all(1.0f / square_root(variance + epsilon));
  for (int i = 0; i < columns; i += 16) {
    const Floats normal = times(subtract(load(x + i), mean), inverse);
    store(x + i, times_add(normal, load(scale + i), load(shift + i)));
  }
}

// Symmetric, to at most `limit` steps on either side.
template <typename Value>
void quantise_to(int limit, const float* x, int columns, Value* values, float* scale,
                 std::int32_t* row_sum) {
  Floats even = all(0.0f), odd = all(0.0f);
  for (int i = 0; i < columns; i += 32) {
    even = larger_magnitude(even, magnitude(load(x + i)));
    odd = larger_magnitude(odd, magnitude(load(x + i + 16)));
  }
  // A row of zeros gets zeros, and no division by them. NaN and infinity go into the scale, and
  // through it into everything that is computed from the row.
  constexpr float kSmallest = 1e-30f;
  const float found = largest_magnitude(larger_magnitude(even, odd));
  const float most = found < kSmallest ? kSmallest : found;
  const float steps = static_cast<float>(limit);
  *scale = most / steps;
  const Floats inverse = all(steps / most);
  Counts counts = no_counts();
  const auto scaled = [&](int i) { return times(load(x + i), inverse); };
  for (int i = 0; i < columns; i += 64) {
    counts = store_rounded(values + i, scaled(i), scaled(i + 16), scaled(i + 32), scaled(i + 48),
                           counts);
  }
  *row_sum = sum(counts);
}

inline void quantise(const float* x, int columns, std::byte* values, float* scale,
                     std::int32_t* row_sum) {
  quantise_to(127, x, columns, reinterpret_cast<std::int8_t*>(values), scale, row_sum);
}

// The largest int16 that is used: a sum of `inputs` products of two of them still fits an int32.
// 2,364 of 384 inputs, 1,182 of 1,536. As native_weights.py rounds weights.
inline int int16_limit(int inputs) {
  return static_cast<int>(__builtin_sqrt(2147483647.0 / inputs));
}

inline void quantise_int16(const float* x, int columns, std::byte* values, float* scale,
                           std::int32_t* row_sum) {
  quantise_to(int16_limit(columns), x, columns, reinterpret_cast<std::int16_t*>(values), scale,
              row_sum);
}

}  // namespace
}  // namespace rerank
