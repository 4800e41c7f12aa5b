// What a forward pass writes to on its way; kept from call to call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "aligned_buffer.h"
#include "kernels.h"
#include "sizes.h"

namespace rerank {

// The feed-forward network goes by this many rows at a time: 64 rows of 1,536 floats are 384 KiB
// and stay in the second cache until they are quantised.
constexpr int kFfnRows = 64;

// Rounded rows with their scales and sums.
class QuantisedBuffer {
 public:
  QuantisedBuffer(int rows, std::ptrdiff_t row_bytes)
      // Tiles of AMX read whole blocks of 32 rows.
      : values_(static_cast<std::size_t>(round_up(rows, 32)) * row_bytes),
        scales_(rows),
        sums_(rows) {}

  QuantisedRows view() const { return {values_.data(), scales_.data(), sums_.data()}; }

 private:
  AlignedBuffer<std::byte> values_;
  AlignedBuffer<float> scales_;
  AlignedBuffer<std::int32_t> sums_;
};

struct Workspace {
  Workspace(const Sizes& sizes, int value_bytes, std::size_t head_floats, int most_tokens)
      : tokens(most_tokens),
        hidden(static_cast<std::size_t>(tokens) * sizes.columns),
        query(static_cast<std::size_t>(tokens) * sizes.attention_columns),
        key_value(static_cast<std::size_t>(tokens) * 2 * sizes.attention_columns),
        context(static_cast<std::size_t>(tokens) * sizes.attention_columns),
        ffn(static_cast<std::size_t>(kFfnRows) * sizes.ffn_columns),
        attention(attention_scratch_floats(sizes.positions, sizes.head_columns)),
        head(head_floats),
        rotated(std::max({sizes.columns, sizes.attention_columns, sizes.ffn_columns})),
        rounded_hidden(tokens, sizes.columns * value_bytes),
        rounded_context(tokens, sizes.attention_columns * value_bytes),
        rounded_ffn(kFfnRows, sizes.ffn_columns * value_bytes) {}

  int tokens;
  AlignedBuffer<float> hidden, query, key_value, context, ffn, attention, head, rotated;
  QuantisedBuffer rounded_hidden, rounded_context, rounded_ffn;
};

// As many workspaces as there are calls at once.
class WorkspacePool {
 public:
  // A workspace for at least so many tokens. Throws std::bad_alloc.
  std::unique_ptr<Workspace> take(const Sizes& sizes, int value_bytes, std::size_t head_floats,
                                  int tokens) {
    std::unique_ptr<Workspace> found;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        found = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (found && found->tokens >= tokens) return found;
    found.reset();  // before the larger one is made, so that both are never there
    return std::make_unique<Workspace>(sizes, value_bytes, head_floats,
                                       round_up(tokens, kTileColumns));
  }

  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace rerank
