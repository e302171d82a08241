#pragma once

#include <cstdint>

namespace weft {

// Queries and keys that attention treats at a time. A piece of attention that begins or ends inside
// a sequence does so at a multiple of it.
inline constexpr int64_t kAttentionTile = 64;

}  // namespace weft
