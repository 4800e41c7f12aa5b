// Attention of one row with its two products in bfloat16 on AMX; softmax in float.
#pragma once

#include "bf16.h"
#include "tiles.h"
#include "../generic/functions.h"
#include "../kernels.h"
#include "../sizes.h"

namespace rerank {
namespace {

constexpr int kTileQueries = 16;  // rows of one tile
constexpr int kTileNumbers = 32;  // of bf16 in a tile's row
constexpr int kTileFloats = 256;  // of 1 KiB

// Where things lie in the scratch of one row and head.
struct Bf16Scratch {
  Bf16Scratch(float* scratch, int tokens, int width)
      : keys_padded(round_up(tokens, kTileNumbers)), steps(round_up(width, kTileNumbers) / kTileNumbers) {
    keys = scratch;
    const std::ptrdiff_t padded = keys_padded;
    values = keys + padded / 16 * steps * kTileFloats;
    queries = values + padded / kTileNumbers * (width / 16) * kTileFloats;
    scores = queries + steps * kTileFloats;
    shares = scores + kTileQueries * padded;
    out = shares + kTileQueries * padded / 2;
  }

  int keys_padded, steps;
  float* keys;     // tiles [16 keys][step]: pairs of columns down, keys across
  float* values;   // tiles [32 keys][16 columns]: pairs of keys down, columns across
  float* queries;  // tiles [step]: queries down, columns across
  float* scores;   // [query][key], float
  float* shares;   // [query][key], bf16
  float* out;      // a tile
};

// Columns [at, at + 32) of a row as bf16; past the width they are zero.
inline __m512i columns_bf16(const float* row, int at, int width) {
  return bf16_neighbours(load(row + at), at + 16 < width ? load(row + at + 16) : all(0.0f));
}

inline void pack_keys(const Attention& given, std::ptrdiff_t column, const Bf16Scratch& at) {
  alignas(64) float pairs[16][16];
  float* tile = at.keys;
  for (int key = 0; key < at.keys_padded; key += 16) {
    const int count = given.tokens - key < 16 ? given.tokens - key : 16;
    for (int step = 0; step < at.steps; ++step, tile += kTileFloats) {
      for (int i = 0; i < count; ++i) {
        const float* row = given.key + (key + i) * given.key_stride + column;
        _mm512_store_si512(pairs[i], columns_bf16(row, step * kTileNumbers, given.head_columns));
      }
      transpose(pairs[0], 16, count, tile, 16);
    }
  }
}

inline void pack_values(const Attention& given, std::ptrdiff_t column, const Bf16Scratch& at) {
  const int panels = given.head_columns / 16;
  for (int key = 0; key < at.keys_padded; key += 2) {
    const float* first = given.value + key * given.key_stride + column;
    for (int panel = 0; panel < panels; ++panel) {
      const float* at_first = first + 16 * panel;
      const Floats a = key < given.tokens ? load(at_first) : all(0.0f);
      const Floats b = key + 1 < given.tokens ? load(at_first + given.key_stride) : all(0.0f);
      float* tile = at.values + (key / kTileNumbers * panels + panel) * kTileFloats;
      _mm512_store_si512(tile + key % kTileNumbers / 2 * 16, bf16_interleaved(a, b));
    }
  }
}

inline void pack_queries(const float* from, const Attention& given, int count,
                         const Bf16Scratch& at) {
  for (int step = 0; step < at.steps; ++step) {
    float* tile = at.queries + step * kTileFloats;
    for (int i = 0; i < count; ++i) {
      const float* row = from + i * given.query_stride;
      _mm512_store_si512(tile + i * 16,
                         columns_bf16(row, step * kTileNumbers, given.head_columns));
    }
    for (int i = count; i < kTileQueries; ++i) {
      _mm512_store_si512(tile + i * 16, _mm512_setzero_si512());
    }
  }
}

// Scores of one query into bf16 shares of its largest; returns their sum. Keys past the last get
// no share.
inline float shares_of(const float* scores, int tokens, int padded, float* shares) {
  Floats most = all(-1e30f);
  for (int j = 0; j < tokens; j += 16) {
    const int left = tokens - j < 16 ? tokens - j : 16;
    most = larger(most, first(left, load(scores + j), all(-1e30f)));
  }
  const Floats peak = all(largest(most));
  Floats total = all(0.0f);
  const auto share = [&](int j) {
    if (j >= tokens) return all(0.0f);
    const int left = tokens - j < 16 ? tokens - j : 16;
    return first(left, exponential(subtract(load(scores + j), peak)), all(0.0f));
  };
  for (int j = 0; j < padded; j += kTileNumbers) {
    const Floats low = share(j), high = share(j + 16);
    total = add(total, add(low, high));
    _mm512_store_si512(shares + j / 2, bf16_neighbours(low, high));
  }
  return sum(total);
}

inline void attend_bf16(const Attention& given, std::ptrdiff_t column, int first_query, int count,
                        const Bf16Scratch& at) {
  const std::ptrdiff_t padded = at.keys_padded;
  pack_queries(given.query + first_query * given.query_stride + column, given, count, at);
  for (int key = 0; key < given.tokens; key += 16) {
    tile_zero(0);
    for (int step = 0; step < at.steps; ++step) {
      tile_load(4, at.queries + step * kTileFloats, 64);
      tile_load(6, at.keys + (key / 16 * at.steps + step) * kTileFloats, 64);
      tile_products_bf16(0, 4, 6);
    }
    tile_store(0, at.scores + key, padded * 4);
  }
  float reciprocals[kTileQueries];
  for (int i = 0; i < count; ++i) {
    reciprocals[i] = 1.0f / shares_of(at.scores + i * padded, given.tokens, at.keys_padded,
                                      at.shares + i * padded / 2);
  }
  const int panels = given.head_columns / 16;
  for (int panel = 0; panel < panels; ++panel) {
    tile_zero(0);
    for (int key = 0; key < at.keys_padded; key += kTileNumbers) {
      tile_load(4, at.shares + key / 2, padded * 2);
      tile_load(6, at.values + (key / kTileNumbers * panels + panel) * kTileFloats, 64);
      tile_products_bf16(0, 4, 6);
    }
    tile_store(0, at.out, 64);
    float* to = given.out + first_query * given.out_stride + column + 16 * panel;
    for (int i = 0; i < count; ++i) {
      store(to + i * given.out_stride, times(load(at.out + 16 * i), all(reciprocals[i])));
    }
  }
}

inline void attention_bf16(const Attention& given) {
  const Bf16Scratch scratch(given.scratch, given.tokens, given.head_columns);
  for (int head = 0; head < given.heads; ++head) {
    const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(head) * given.head_columns;
    pack_keys(given, column, scratch);
    pack_values(given, column, scratch);
    for (int query = 0; query < given.queries; query += kTileQueries) {
      const int left = given.queries - query;
      attend_bf16(given, column, query, left < kTileQueries ? left : kTileQueries, scratch);
    }
  }
}

}  // namespace
}  // namespace rerank
