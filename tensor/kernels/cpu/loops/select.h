#pragma once

#include <vector>

#include "tensor/kernels/cpu/loops/loops.h"

namespace weft {

// The tables this processor can run, the fastest first; never empty. Thread-safe.
std::vector<const Loops*> RunnableLoops();

}  // namespace weft
