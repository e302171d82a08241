#pragma once

#include <vector>

namespace weft {

// What operations of `size` took, `weight` of them.
struct CostPoint {
  double size = 0;
  double seconds = 0;
  double weight = 1;
};

// Many small messages are never faster than one large one, whatever the small ones measured alone:
// they fit into what a shaped link or a processor quota lets through at once, which is spent when
// more of them follow. So seconds per byte do not grow with the size: where they do, neighbours are
// given the seconds per byte that all their bytes took together (pool adjacent violators, weighted
// by bytes). `points` ascend by size; those of size 0 stay as they are.
void SustainRates(std::vector<CostPoint>& points);

}  // namespace weft
