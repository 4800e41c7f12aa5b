// The eight tile registers of AMX: 16 rows of 64 bytes each.
#pragma once

#include <immintrin.h>

#include <cstdint>

#ifdef RERANK_EMULATED_TILES

// What the instructions do, in plain code, so that the kernel around them is tested on machines
// that lack them.
namespace rerank {
namespace {

struct Tile {
  std::uint8_t bytes[16][64];
};

thread_local Tile tiles[8];

inline void tile_zero(int tile) { tiles[tile] = Tile{}; }

inline void tile_load(int tile, const void* from, std::ptrdiff_t stride) {
  for (int row = 0; row < 16; ++row) {
    __builtin_memcpy(tiles[tile].bytes[row], static_cast<const char*>(from) + row * stride, 64);
  }
}

inline void tile_store(int tile, void* to, std::ptrdiff_t stride) {
  for (int row = 0; row < 16; ++row) {
    __builtin_memcpy(static_cast<char*>(to) + row * stride, tiles[tile].bytes[row], 64);
  }
}

inline void tile_products(int sums, int left, int right) {
  for (int row = 0; row < 16; ++row) {
    std::int32_t out[16];
    __builtin_memcpy(out, tiles[sums].bytes[row], sizeof out);
    for (int column = 0; column < 16; ++column) {
      for (int k = 0; k < 64; ++k) {
        const auto a = static_cast<std::int8_t>(tiles[left].bytes[row][k]);
        const auto b = static_cast<std::int8_t>(tiles[right].bytes[k / 4][column * 4 + k % 4]);
        out[column] += a * b;
      }
    }
    __builtin_memcpy(tiles[sums].bytes[row], out, sizeof out);
  }
}

// bf16 pairs: even numbers of a row of `left` first, then odd ones, as the instruction does.
inline void tile_products_bf16(int sums, int left, int right) {
  const auto number = [](const std::uint8_t* bytes) {
    std::uint32_t bits = static_cast<std::uint32_t>(bytes[1]) << 24 | bytes[0] << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  };
  for (int row = 0; row < 16; ++row) {
    float out[16];
    __builtin_memcpy(out, tiles[sums].bytes[row], sizeof out);
    for (int pair = 0; pair < 16; ++pair) {
      const std::uint8_t* a = &tiles[left].bytes[row][4 * pair];
      for (int column = 0; column < 16; ++column) {
        const std::uint8_t* b = &tiles[right].bytes[pair][4 * column];
        out[column] += number(a) * number(b);
        out[column] += number(a + 2) * number(b + 2);
      }
    }
    __builtin_memcpy(tiles[sums].bytes[row], out, sizeof out);
  }
}

inline void begin_tiles() {}
inline void end_tiles() {}

}  // namespace
}  // namespace rerank

#else

// The compiler's names are macros that paste the tile's number into the instruction.
#define tile_zero _tile_zero
#define tile_load _tile_loadd
#define tile_store _tile_stored
#define tile_products _tile_dpbssd
#define tile_products_bf16 _tile_dpbf16ps

namespace rerank {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette, start_row;
  std::uint8_t reserved[14];
  std::uint16_t column_bytes[16];
  std::uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64, "the layout of the instruction's operand");

// Every tile whole. A constant with static storage: GCC's intrinsic names only the first bytes of
// its operand, so of a local one the rest may never be written.
constexpr TileConfig kWholeTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// The state is a thread's own; it is given back so that the system need not save 8 KiB at each
// switch of threads.
inline void begin_tiles() { _tile_loadconfig(&kWholeTiles); }

inline void end_tiles() { _tile_release(); }

}  // namespace
}  // namespace rerank

#endif
