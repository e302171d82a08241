#pragma once

#include <cstdint>

namespace weft {

// What one rank sees of one micro-batch.
struct BatchShape {
  int64_t sequences = 1;  // per rank and micro-batch
  int64_t length = 1;     // tokens of a sequence
  int32_t micro_batches = 1;
  int64_t global_sequences = 1;  // of one step, over all ranks and micro-batches
  // Blocks are cut between sequences only: the device's attention takes no parts of them.
  bool whole_sequences = false;

  int64_t tokens() const { return sequences * length; }
  int64_t global_tokens() const { return global_sequences * length; }
};

}  // namespace weft
