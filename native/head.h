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

  std::size_t scratch_floats() const {
    return static_cast<std::size_t>(columns_) + padded_outputs_;
  }

  // One row: `states` are its `tokens` hidden states, `scratch` holds scratch_floats().
  void apply(const Kernels& kernels, const float* states, int tokens, float* scratch,
             float* outputs) const;

 private:
  void classify(const Kernels& kernels, const float* state, float* scratch, float* outputs) const;
  void pool(const float* states, int tokens, float* outputs) const;

  int kind_, width_, columns_, outputs_, padded_outputs_;
  bool has_pooler_;
  AlignedBuffer<float> pooler_, pooler_bias_, classifier_, classifier_bias_;
};

}  // namespace rerank
