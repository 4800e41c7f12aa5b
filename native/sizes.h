// Sizes of an encoder, and as what they are padded to for the kernels.
#pragma once

#include "c_interface.h"

namespace rerank {

// A tile of AMX is 64 bytes deep, so every matrix of int8 is padded to whole tiles; a vector of
// 16 floats then never runs over the end of a row either. Padding holds zeros all the way through.
constexpr int kTileColumns = 64;
constexpr int kVectorFloats = 16;

// Columns that are rotated together before they are quantised: a power of two that divides a tile.
constexpr int kRotated = 64;

// A sum of this many products of 127 and 255 still fits an int32.
constexpr int kMostColumns = 65536;

// Of one row.
constexpr int kMostPositions = 65536;

constexpr int round_up(int value, int step) { return (value + step - 1) / step * step; }

struct Sizes {
  explicit Sizes(const RerankShape& shape)
      : layers(shape.layers),
        width(shape.width),
        heads(shape.heads),
        positions(shape.positions),
        vocabulary(shape.vocabulary),
        token_types(shape.token_types),
        epsilon(shape.epsilon),
        columns(round_up(width, kTileColumns)),
        ffn_columns(round_up(shape.ffn_width, kTileColumns)),
        head_columns(round_up(shape.head_width, kVectorFloats)),
        attention_columns(round_up(heads * head_columns, kTileColumns)) {}

  int layers, width, heads, positions, vocabulary, token_types;
  float epsilon;
  int columns;            // of the hidden states
  int ffn_columns;        // between the two halves of the feed-forward network
  int head_columns;       // of one attention head
  int attention_columns;  // of all heads side by side
};

}  // namespace rerank
