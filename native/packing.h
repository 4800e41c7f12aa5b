// Weights in the order in which the kernels read them.
#pragma once

#include <cstdint>

#include "aligned_buffer.h"
#include "c_interface.h"
#include "kernels.h"

namespace rerank {

// A dense layer that owns its packed weights: panels of `panel_columns` outputs (the last one may
// be narrower), in each panel all outputs' inputs 0..3, then 4..7, and so on, which is what one
// step of a 4-way dot product takes.
class PackedDense {
 public:
  PackedDense() = default;

  // Throws std::invalid_argument where the given sizes are not (outputs, inputs).
  PackedDense(const RerankDense& given, int outputs, int inputs, const Kernels& kernels);

  Dense view() const {
    return {weights_.data(), scales_.data(), bias_.data(), outputs_, inputs_};
  }

 private:
  int outputs_ = 0, inputs_ = 0;
  AlignedBuffer<std::uint8_t> weights_;
  AlignedBuffer<float> scales_, bias_;
};

}  // namespace rerank
