#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

// A 64-bit digest that depends on the bytes alone: equal on every machine and in every run. Not
// cryptographic.
uint64_t Fingerprint(std::string_view bytes);

// Order-dependent combination of two digests.
uint64_t CombineFingerprints(uint64_t a, uint64_t b);

}  // namespace weft
