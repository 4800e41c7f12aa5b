#include "packing.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace rerank {

PackedDense::PackedDense(const RerankDense& given, int outputs, int inputs, const Kernels& kernels)
    : outputs_(outputs),
      inputs_(inputs),
      weights_(static_cast<std::size_t>(outputs) * inputs * kernels.value_bytes),
      scales_(outputs),
      bias_(outputs) {
  if (given.outputs != outputs || given.inputs != inputs) {
    throw std::invalid_argument("weights are " + std::to_string(given.outputs) + " x " +
                                std::to_string(given.inputs) + ", the shape needs " +
                                std::to_string(outputs) + " x " + std::to_string(inputs));
  }
  std::copy_n(given.scales, outputs, scales_.data());
  std::copy_n(given.bias, outputs, bias_.data());
  const std::ptrdiff_t depth = static_cast<std::ptrdiff_t>(inputs) * kernels.value_bytes;
  const auto* given_bytes = static_cast<const std::uint8_t*>(given.weights);
  for (int output = 0; output < outputs; ++output) {
    const int panel = output / kernels.panel_columns * kernels.panel_columns;
    const int columns = std::min(kernels.panel_columns, outputs - panel);
    std::uint8_t* packed = weights_.data() + panel * depth + (output - panel) * 4;
    const std::uint8_t* row = given_bytes + output * depth;
    for (std::ptrdiff_t byte = 0; byte < depth; ++byte) {
      packed[byte / 4 * columns * 4 + byte % 4] =
          static_cast<std::uint8_t>(row[byte] + kernels.weight_offset);
    }
  }
}

}  // namespace rerank
