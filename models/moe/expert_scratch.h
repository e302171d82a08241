#pragma once

#include "tensor/device/buffer.h"
#include "tensor/device/memory.h"

namespace weft {

// What experts need while one of their operations runs, and nobody after it: shared by all MoE
// layers of a rank. Used by the compute stream alone.
struct ExpertScratch {
  explicit ExpertScratch(Memory& memory)
      : y(memory), dy(memory), dx(memory), pre(memory), d_pre(memory), d_act(memory) {}
  // Rows of a chunk in kept order, or of a layer in saved order.
  Buffer y, dy, dx;   // [rows, hidden]
  Buffer pre, d_pre;  // [rows, pre width]
  Buffer d_act;       // [rows, hidden units]
};

}  // namespace weft
