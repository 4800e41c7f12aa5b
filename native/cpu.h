// Which instruction sets the machine has and the system lets us use.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace rerank {

// Best first, and maybe none; the emulated ones are not among them.
const std::vector<const Kernels*>& usable_kernels();

// Throws std::invalid_argument where the name is not usable here.
const Kernels& kernels_named(const std::string& name);

}  // namespace rerank
