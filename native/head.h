// From hidden states to a row's outputs.
#pragma once

#include "aligned_buffer.h"
#include "c_interface.h"
#include "kernels.h"
#include "sizes.h"

namespace rerank {

class Head {
 public:
  // Throws std::invalid_argument for a kind that is not known.
  Head(const RerankHead& given, const Sizes& sizes);

  // Whether the first token's state is all that is read.
  bool first_token_only() const { return kind_ != RERANK_MEAN_VECTOR; }

  int outputs() const { return outputs_; }

  bool is_classifier() const { return kind_ == RERANK_CLASSIFIER; }

  std::size_t scratch_floats() const {
    return kRowsTogether * (static_cast<std::size_t>(columns_) + padded_outputs_);
  }

  // Outputs of `rows` first tokens whose states lie one after the other; `scratch` holds
  // scratch_floats().
  void classify(const Kernels& kernels, const float* states, int rows, float* scratch,
                float* outputs) const;

  // The vector of one row of `tokens` states.
  void pool(const float* states, int tokens, float* outputs) const;

 private:
  // As many as a tile of `multiply` has, so that the pooler's weights are read once for them all.
  static constexpr int kRowsTogether = 8;

  int kind_, width_, columns_, outputs_, padded_outputs_;
  bool has_pooler_;
  AlignedBuffer<float> pooler_, pooler_bias_, classifier_, classifier_bias_;
};

}  // namespace rerank
