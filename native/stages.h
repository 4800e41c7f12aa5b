// Where the time of a forward pass goes.
#pragma once

#include <time.h>

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

// Adds up seconds by stage; without a place to add them to it does nothing. Seconds of the thread's
// own processor time: on a busy machine those of the wall are the others', and a long stage has more
// of them than a short one.
class StageClock {
 public:
  explicit StageClock(double* seconds) : seconds_(seconds) {
    if (seconds_) last_s_ = now_s();
  }

  // What went by since the last lap was this stage's.
  void lap(Stage stage) {
    if (!seconds_) return;
    const double now = now_s();
    seconds_[static_cast<int>(stage)] += now - last_s_;
    last_s_ = now;
  }

 private:
  static double now_s() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  double* seconds_;
  double last_s_ = 0.0;
};

}  // namespace rerank
