// The int8 product on AMX.
#pragma once

#include "tiles.h"
#include "../avx512/finish.h"

namespace rerank {
namespace {

constexpr int kWeightOffset = 0;
constexpr int kPanelColumns = 16;  // of a tile of 16 x 4 bytes

// Two tiles of rows by two of columns: four loads feed four products, the most that eight tiles
// allow (4 sums, 2 + 2 operands).
constexpr int kBlock = 32;

struct Block {
  alignas(64) std::int32_t sums[4][16][16];  // rows 0..15 of both columns, then rows 16..31
};

// Rows of 64 bytes in steps of 64 along the depth; a panel's tile is 1 KiB and contiguous.
inline void multiply_block(const std::int8_t* values, const std::uint8_t* weights, int inputs,
                           bool both_rows, Block& block) {
  const std::ptrdiff_t depth = inputs;
  const std::uint8_t* right = weights + kPanelColumns * depth;
  tile_zero(0);
  tile_zero(1);
  if (both_rows) {
    const std::int8_t* lower = values + 16 * depth;
    tile_zero(2);
    tile_zero(3);
    for (std::ptrdiff_t k = 0; k < depth; k += 64) {
      tile_load(4, values + k, depth);
      tile_load(6, weights + k * 16, 64);
      tile_load(7, right + k * 16, 64);
      tile_load(5, lower + k, depth);
      tile_products(0, 4, 6);
      tile_products(1, 4, 7);
      tile_products(2, 5, 6);
      tile_products(3, 5, 7);
    }
    tile_store(2, block.sums[2], 64);
    tile_store(3, block.sums[3], 64);
  } else {
    for (std::ptrdiff_t k = 0; k < depth; k += 64) {
      tile_load(4, values + k, depth);
      tile_load(6, weights + k * 16, 64);
      tile_load(7, right + k * 16, 64);
      tile_products(0, 4, 6);
      tile_products(1, 4, 7);
    }
  }
  tile_store(0, block.sums[0], 64);
  tile_store(1, block.sums[1], 64);
}

template <Epilogue kEpilogue>
void dense_blocks(const QuantisedRows& rows, int count, const Dense& given, float* out,
                  std::ptrdiff_t out_stride) {
  Block block;
  for (int column = 0; column < given.outputs; column += kBlock) {
    const std::uint8_t* weights =
        given.weights + column * static_cast<std::ptrdiff_t>(given.inputs);
    for (int row = 0; row < count; row += kBlock) {
      const int left = count - row;
      multiply_block(rows.values + row * static_cast<std::ptrdiff_t>(given.inputs), weights,
                     given.inputs, left > 16, block);
      for (int r = 0; r < (left < kBlock ? left : kBlock); ++r) {
        float* to = out + (row + r) * out_stride + column;
        for (int half = 0; half < 2; ++half) {
          const __m512i sums = _mm512_load_si512(block.sums[r / 16 * 2 + half][r % 16]);
          finish<kEpilogue>(sums, rows.scales[row + r], given.scales + column + 16 * half,
                            given.bias + column + 16 * half, to + 16 * half);
        }
      }
    }
  }
}

inline void dense(const QuantisedRows& rows, int count, const Dense& given, Epilogue epilogue,
                  float* out, std::ptrdiff_t out_stride) {
  switch (epilogue) {
    case Epilogue::kStore:
      return dense_blocks<Epilogue::kStore>(rows, count, given, out, out_stride);
    case Epilogue::kGelu:
      return dense_blocks<Epilogue::kGelu>(rows, count, given, out, out_stride);
    case Epilogue::kAdd:
      return dense_blocks<Epilogue::kAdd>(rows, count, given, out, out_stride);
  }
}

// All but the int8 product is as with AVX-512: AMX machines have it.
inline Kernels with_tiles(const char* name, const Kernels& base) {
  Kernels kernels = base;
  kernels.name = name;
  kernels.panel_columns = kPanelColumns;
  kernels.weight_offset = kWeightOffset;
  kernels.begin = begin_tiles;
  kernels.end = end_tiles;
  kernels.dense = dense;
  return kernels;
}

}  // namespace
}  // namespace rerank
