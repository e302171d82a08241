#include "graph/sustained_rates.h"

#include <cstddef>

namespace weft {
namespace {

struct Block {
  double bytes = 0;
  double seconds = 0;
  size_t count = 0;  // of points

  double per_byte() const { return seconds / bytes; }
};

}  // namespace

void SustainRates(std::vector<CostPoint>& points) {
  size_t first = 0;
  while (first < points.size() && points[first].size <= 0) ++first;
  std::vector<Block> blocks;
  for (size_t i = first; i < points.size(); ++i) {
    blocks.push_back({points[i].weight * points[i].size, points[i].weight * points[i].seconds, 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].per_byte() < blocks.back().per_byte()) {
      const Block last = blocks.back();
      blocks.pop_back();
      blocks.back().bytes += last.bytes;
      blocks.back().seconds += last.seconds;
      blocks.back().count += last.count;
    }
  }
  size_t i = first;
  for (const Block& block : blocks) {
    const size_t end = i + block.count;
    if (block.count == 1) i = end;  // as it was, to the last bit
    for (; i < end; ++i) points[i].seconds = points[i].size * block.per_byte();
  }
}

}  // namespace weft
