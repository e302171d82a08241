#pragma once

#include <cstdint>

namespace weft {

// A pseudo-random order of 0..size-1 in constant memory: a balanced Feistel network of six rounds
// over the smallest domain of an even number of bits, walked until it lands inside (Black and
// Rogaway 2002). The key decides everything.
class Permutation {
 public:
  // REQUIRES: 1 <= size < 2^62.
  Permutation(uint64_t key, int64_t size);

  // The element at `position`. A bijection of [0, size). REQUIRES: 0 <= position < size.
  int64_t At(int64_t position) const;

 private:
  uint64_t key_;
  int64_t size_;
  int half_bits_;
};

}  // namespace weft
