// Where the time of a forward pass goes.
#pragma once

#include <chrono>

namespace rerank {

enum class Stage {
  kEmbedding,
  kQuantising,
  kKeyValueQuery,
  kAttention,
  kAttentionOutput,
  kNormalising,
  kFfnIn,
  kFfnOut,
  kHead,
};

// One a stage, in their order.
constexpr const char* kStageNames =
    "embedding,quantising,key-value-query,attention,attention-output,normalising,ffn-in,ffn-out,"
    "head";

// Adds up seconds by stage; without a place to add them to it does nothing.
class StageClock {
 public:
  explicit StageClock(double* seconds) : seconds_(seconds) {
    if (seconds_) last_ = Clock::now();
  }

  // What went by since the last lap was this stage's.
  void lap(Stage stage) {
    if (!seconds_) return;
    const Clock::time_point now = Clock::now();
    seconds_[static_cast<int>(stage)] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;

  double* seconds_;
  Clock::time_point last_;
};

}  // namespace rerank
