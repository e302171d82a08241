#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

// Counter-based random numbers: the value at (seed, stream, index) is a pure function, so that
// every layout initialises the same parameters and every resumed run sees the same data order,
// whoever asks and in whatever order.
class CounterRng {
 public:
  // `stream` separates independent sequences, e.g. the canonical name of a parameter.
  CounterRng(uint64_t seed, std::string_view stream);

  uint64_t Bits(uint64_t index) const;   // uniform 64 bits
  double Uniform(uint64_t index) const;  // [0, 1)
  float Normal(uint64_t index) const;    // N(0, 1), Box-Muller over two draws of this index

 private:
  uint64_t key_;
};

}  // namespace weft
