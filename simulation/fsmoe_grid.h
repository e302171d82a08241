#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulation/aligned_model.h"

namespace weft {

// One layer of FSMoE's evaluation (arXiv 2501.10714, table 4).
struct GridLayer {
  AlignedModel model;
  int32_t copies = 1;  // layers of the grid that cost the same: heads carry no published cost
};

// Batch {1, 2, 4} x heads {8, 16, 32} x the three lengths x M {1024, 2048, 4096} x H/M {2, 3, 4} x
// f {1.2, 2.4, *} x {simple, Mixtral}: 1458 layers, 486 different ones, with K = f or 1 for `*`.
// Lengths are 512, 1024, 2048 on FSMoE's Testbed A and half of that on B.
std::vector<GridLayer> FsmoeGrid(const std::vector<int64_t>& lengths);

}  // namespace weft
