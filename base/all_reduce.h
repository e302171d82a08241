#pragma once

#include <cstdint>

// The all-reduce over direct messages, as arithmetic: how many steps it takes and what a member
// sends. The communicator that runs it, the emulated links that time it and the cost models that
// price it read the same lines; they lie in layers that know nothing of each other.
//
// One step: everyone sends everything to everyone and sums locally. Two steps: a reduce-scatter and
// an all-gather of blocks. One step saves a latency and sends size / 2 times as much, so what
// decides is what a member would send. The bits are the same.

namespace weft {

// A member sends at most this much in one step; a larger all-reduce takes two.
inline constexpr int64_t kOneStepAllReduceBytes = 16 * 1024;

struct AllReduceCost {
  int64_t steps = 1;
  int64_t bytes = 0;  // sent, and received, by the busiest member

  friend bool operator==(const AllReduceCost&, const AllReduceCost&) = default;
};

// The elements of one member's block in two steps; the last blocks may be shorter.
constexpr int64_t AllReduceBlock(int64_t elements, int size) {
  return (elements + size - 1) / size;
}

// REQUIRES: elements >= 0, element_bytes > 0, size > 0.
constexpr AllReduceCost CostOfAllReduce(int64_t elements, int64_t element_bytes, int size) {
  const int64_t in_one_step = (size - 1) * elements * element_bytes;
  if (in_one_step <= kOneStepAllReduceBytes) return {1, in_one_step};
  return {2, 2 * (size - 1) * AllReduceBlock(elements, size) * element_bytes};
}

}  // namespace weft
