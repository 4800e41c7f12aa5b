// The int8 product on AMX.
#pragma once

#include "tiles.h"
#include "../avx512/floats.h"
#include "../generic/epilogue.h"

namespace rerank {
namespace {

constexpr int kWeightOffset = 0;
constexpr int kPanelColumns = 16;  // of a tile of 16 x 4 bytes

// Two tiles of rows by two of columns: four loads feed four products, the most that eight tiles
// allow (4 sums, 2 + 2 operands).
constexpr int kBlock = 32;
constexpr int kDepth = 64;  // bytes of a row that one product takes

// Sums of kBlock rows and the columns that are finished together: 8 KiB, in the first cache.
constexpr int kStrip = kRotated;
struct Sums {
  alignas(64) std::int32_t at[kBlock][kStrip];
};
constexpr std::ptrdiff_t kSumsStride = sizeof(std::int32_t) * kStrip;

// Asks for the weights of the strip after this one, a few lines a step: all weights of a model are
// larger than the second cache, so they come from the third.
class Ahead {
 public:
  Ahead(const std::uint8_t* weights, std::ptrdiff_t bytes, std::ptrdiff_t steps)
      : at_(weights), bytes_a_step_((bytes / steps + 63) / 64 * 64) {}

  void step() {
    for (const std::uint8_t* end = at_ + bytes_a_step_; at_ < end; at_ += 64) {
      _mm_prefetch(at_, _MM_HINT_T1);
    }
  }

 private:
  const std::uint8_t* at_;
  std::ptrdiff_t bytes_a_step_;
};

// Rows of 64 bytes in steps of 64 along the depth; a panel's tile is 1 KiB and contiguous.
inline void multiply_block(const std::int8_t* values, const std::uint8_t* weights, int inputs,
                           bool both_rows, std::int32_t* sums, Ahead& ahead) {
  const std::ptrdiff_t depth = inputs;
  const std::uint8_t* right = weights + kPanelColumns * depth;
  tile_zero(0);
  tile_zero(1);
  if (both_rows) {
    const std::int8_t* lower = values + 16 * depth;
    tile_zero(2);
    tile_zero(3);
    for (std::ptrdiff_t k = 0; k < depth; k += kDepth) {
      tile_load(4, values + k, depth);
      tile_load(6, weights + k * 16, 64);
      tile_load(7, right + k * 16, 64);
      tile_load(5, lower + k, depth);
      tile_products(0, 4, 6);
      tile_products(1, 4, 7);
      tile_products(2, 5, 6);
      tile_products(3, 5, 7);
      ahead.step();
    }
    tile_store(2, sums + 16 * kStrip, kSumsStride);
    tile_store(3, sums + 16 * kStrip + 16, kSumsStride);
  } else {
    for (std::ptrdiff_t k = 0; k < depth; k += kDepth) {
      tile_load(4, values + k, depth);
      tile_load(6, weights + k * 16, 64);
      tile_load(7, right + k * 16, 64);
      tile_products(0, 4, 6);
      tile_products(1, 4, 7);
      ahead.step();
    }
  }
  tile_store(0, sums, kSumsStride);
  tile_store(1, sums + 16, kSumsStride);
}

template <Epilogue kEpilogue>
void dense_strips(const QuantisedRows& rows, int count, const Dense& given, float* out,
                  std::ptrdiff_t out_stride) {
  Sums sums;
  const std::ptrdiff_t depth = given.inputs;
  const auto* values = reinterpret_cast<const std::int8_t*>(rows.values);
  for (int column = 0; column < given.outputs; column += kStrip) {
    const std::uint8_t* weights = given.weights + column * depth;
    const int steps = (count + kBlock - 1) / kBlock * (kStrip / kBlock) * (given.inputs / kDepth);
    Ahead ahead(weights + kStrip * depth, kStrip * depth, steps);
    for (int row = 0; row < count; row += kBlock) {
      const int left = count - row < kBlock ? count - row : kBlock;
      for (int half = 0; half < kStrip; half += kBlock) {
        multiply_block(values + row * depth, weights + half * depth, given.inputs, left > 16,
                       &sums.at[0][half], ahead);
      }
      for (int r = 0; r < left; ++r) {
        Floats y[kRotatedVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kRotatedVectors; ++v) {
          y[v] = _mm512_cvtepi32_ps(_mm512_load_si512(&sums.at[r][16 * v]));
        }
        finish<kEpilogue>(y, rows.scales[row + r], given.scales + column, given.bias + column,
                          out + (row + r) * out_stride + column);
      }
    }
  }
}

inline void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue,
                  float* out, std::ptrdiff_t out_stride) {
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_strips<Epilogue::kStore>(rows, count, given, out, out_stride);
    case Epilogue::kAdd:
      return dense_strips<Epilogue::kAdd>(rows, count, given, out, out_stride);
    case Epilogue::kGeluRotated:
      return dense_strips<Epilogue::kGeluRotated>(rows, count, given, out, out_stride);
  }
}

inline double peak(std::int64_t steps) {
  for (std::int64_t step = 0; step < steps; ++step) {
    tile_products(0, 4, 6);
    tile_products(1, 4, 7);
    tile_products(2, 5, 6);
    tile_products(3, 5, 7);
  }
  return 2.0 * 4 * 16 * 16 * 64 * static_cast<double>(steps);
}

// All but the int8 product, and attention where one is given, is as with AVX-512: AMX machines
// have it.
inline Kernels with_tiles(const char* name, const Kernels& base,
                          void (*attention)(const Attention&) = nullptr) {
  Kernels kernels = base;
  kernels.name = name;
  kernels.panel_columns = kPanelColumns;
  kernels.weight_offset = kWeightOffset;
  kernels.begin = begin_tiles;
  kernels.end = end_tiles;
  kernels.dense = dense;
  kernels.peak = peak;
  if (attention) kernels.attention = attention;
  return kernels;
}

}  // namespace
}  // namespace rerank
