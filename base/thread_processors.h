#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weft {

// The processors that the calling thread may use, ascending.
std::vector<int32_t> OwnProcessors();

// Keeps the calling thread, and those that it creates from now on, to these. False when the kernel
// refuses: the machine has none of them.
bool SetOwnProcessors(std::span<const int32_t> processors);

}  // namespace weft
