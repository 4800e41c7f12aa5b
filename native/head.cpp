#include "head.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace rerank {
namespace {

AlignedBuffer<float> copy(const float* from, std::size_t count) {
  AlignedBuffer<float> to(count);
  std::copy_n(from, count, to.data());
  return to;
}

}  // namespace

Head::Head(const RerankHead& given, const Sizes& sizes)
    : kind_(given.kind),
      width_(sizes.width),
      columns_(sizes.columns),
      outputs_(given.kind == RERANK_CLASSIFIER ? given.outputs : sizes.width),
      padded_outputs_(round_up(outputs_, kVectorFloats)),
      has_pooler_(given.pooler != nullptr) {
  if (kind_ != RERANK_CLASSIFIER) {
    if (kind_ != RERANK_MEAN_VECTOR && kind_ != RERANK_FIRST_VECTOR) {
      throw std::invalid_argument("no such head");
    }
    return;
  }
  if (outputs_ < 1 || outputs_ > kMostColumns) {
    throw std::invalid_argument("a classifier needs 1 to 65,536 outputs");
  }
  const std::size_t columns = columns_, outputs = padded_outputs_;
  if (has_pooler_) {
    pooler_ = copy(given.pooler, columns * columns);
    pooler_bias_ = copy(given.pooler_bias, columns);
  }
  classifier_ = copy(given.classifier, columns * outputs);
  classifier_bias_ = copy(given.classifier_bias, outputs);
}

void Head::apply(const Kernels& kernels, const float* states, int tokens, float* scratch,
                 float* outputs) const {
  if (kind_ == RERANK_CLASSIFIER) {
    classify(kernels, states, scratch, outputs);
  } else {
    pool(states, first_token_only() ? 1 : tokens, outputs);
  }
}

void Head::classify(const Kernels& kernels, const float* state, float* scratch,
                    float* outputs) const {
  if (has_pooler_) {
    kernels.multiply(state, columns_, 1, pooler_.data(), columns_, columns_, columns_, scratch,
                     columns_);
    for (int i = 0; i < columns_; ++i) scratch[i] += pooler_bias_.data()[i];
    kernels.tanh(scratch, columns_);
    state = scratch;
  }
  float* logits = scratch + columns_;
  kernels.multiply(state, columns_, 1, classifier_.data(), padded_outputs_, columns_,
                   padded_outputs_, logits, padded_outputs_);
  for (int i = 0; i < outputs_; ++i) outputs[i] = logits[i] + classifier_bias_.data()[i];
}

void Head::pool(const float* states, int tokens, float* outputs) const {
  std::copy_n(states, width_, outputs);
  for (int token = 1; token < tokens; ++token) {
    const float* state = states + static_cast<std::ptrdiff_t>(token) * columns_;
    for (int i = 0; i < width_; ++i) outputs[i] += state[i];
  }
  // The mean's divisor falls out when the vector is brought to unit length.
  float squares = 0.0f;
  for (int i = 0; i < width_; ++i) squares += outputs[i] * outputs[i];
  const float inverse = 1.0f / std::sqrt(std::max(squares, 1e-30f));
  for (int i = 0; i < width_; ++i) outputs[i] *= inverse;
}

}  // namespace rerank
