#pragma once

#include <cstdint>
#include <vector>

#include "tensor/device/buffer.h"

namespace weft {

// Tensors that are made once and live as long as their owner, in one piece of memory: named first,
// made together. Each begins at a multiple of 256 bytes, as devices like it.
class TensorArena {
 public:
  // `memory` outlives the arena.
  explicit TensorArena(Memory& memory) : storage_(memory) {}

  // `view`, which keeps its place until Make, becomes a tensor of this type and shape.
  void Add(TensorView& view, DType dtype, const Shape& shape);
  // Zeroed. REQUIRES: called once.
  void Make();

 private:
  struct Place {
    TensorView* view;
    int64_t begin;
  };
  Buffer storage_;
  std::vector<Place> places_;
  int64_t bytes_ = 0;
};

}  // namespace weft
