// Weights in the order in which the kernels read them.
#pragma once

#include <cstdint>

#include "aligned_buffer.h"
#include "c_interface.h"
#include "kernels.h"

namespace rerank {

// A dense layer that owns its packed weights: panels of `panel_columns` outputs (the last one may
// be narrower), in each panel all outputs' first 4 bytes, then the next 4, and so on: inputs 0..3
// of int8 or 0..1 of int16, which is what one step of a dot product takes.
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
