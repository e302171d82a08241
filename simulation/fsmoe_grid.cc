#include "simulation/fsmoe_grid.h"

namespace weft {

std::vector<GridLayer> FsmoeGrid(const std::vector<int64_t>& lengths) {
  constexpr int32_t kHeadChoices = 3;
  std::vector<GridLayer> grid;
  for (const int64_t batch : {1, 2, 4}) {
    for (const int64_t length : lengths) {
      for (const int64_t width : {1024, 2048, 4096}) {
        for (const int64_t ratio : {2, 3, 4}) {
          for (const double rows_per_token : {1.2, 2.4, 1.0}) {
            for (const bool swiglu : {false, true}) {
              GridLayer layer;
              layer.copies = kHeadChoices;
              layer.model.batch = batch;
              layer.model.length = length;
              layer.model.width = width;
              layer.model.expert_width = ratio * width;
              layer.model.rows_per_token = rows_per_token;
              layer.model.swiglu = swiglu;
              grid.push_back(layer);
            }
          }
        }
      }
    }
  }
  return grid;
}

}  // namespace weft
