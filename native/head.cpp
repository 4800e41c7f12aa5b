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

void Head::classify(const Kernels& kernels, const float* states, int rows, float* scratch,
                    float* outputs) const {
  const std::ptrdiff_t columns = columns_, padded = padded_outputs_;
  float* pooled = scratch;
  float* logits = scratch + kRowsTogether * columns;
  for (int begin = 0; begin < rows; begin += kRowsTogether) {
    const int count = std::min(kRowsTogether, rows - begin);
    const float* state = states + begin * columns;
    if (has_pooler_) {
      kernels.multiply({state, columns, 1, pooler_.data(), columns, columns_, pooled, columns},
                       count, columns_);
      for (int row = 0; row < count; ++row) {
        float* x = pooled + row * columns;
        for (int i = 0; i < columns_; ++i) x[i] += pooler_bias_.data()[i];
      }
      kernels.tanh(pooled, count * columns_);
      state = pooled;
    }
    kernels.multiply({state, columns, 1, classifier_.data(), padded, columns_, logits, padded},
                     count, padded_outputs_);
    for (int row = 0; row < count; ++row, outputs += outputs_) {
      const float* y = logits + row * padded;
      for (int i = 0; i < outputs_; ++i) outputs[i] = y[i] + classifier_bias_.data()[i];
    }
  }
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
