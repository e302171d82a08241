#pragma once

#include <bit>
#include <cstdint>

namespace weft {

// The upper half of a float: 8 bits of exponent, 7 of fraction. A number to store; sums are made in
// wider types.
struct BFloat16 {
  uint16_t bits = 0;

  // To the nearest, ties to even; NaN stays NaN.
  static constexpr BFloat16 FromFloat(float value) {
    const auto wide = std::bit_cast<uint32_t>(value);
    const bool nan = (wide & 0x7fffffffu) > 0x7f800000u;
    const uint32_t rounded = wide + 0x7fffu + (wide >> 16 & 1u);
    return {static_cast<uint16_t>(nan ? wide >> 16 | 0x40u : rounded >> 16)};
  }
  constexpr float ToFloat() const { return std::bit_cast<float>(uint32_t{bits} << 16); }

  friend bool operator==(const BFloat16&, const BFloat16&) = default;  // of bits
};

}  // namespace weft
