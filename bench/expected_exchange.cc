#include "bench/expected_exchange.h"

#include <algorithm>
#include <span>

namespace weft {

double BusierWay(const ExchangeTraffic& traffic) {
  return std::max(traffic.intra_bytes + traffic.inter_bytes, traffic.received_bytes);
}

double ExpectedSeconds(AllToAllAlgorithm algorithm, GroupShape shape, double pair_bytes,
                       StepSeconds seconds) {
  const std::span<const ExchangeStepOutline> outline = OutlineOf(algorithm, shape);
  double total = 0;
  double last_step = 0;
  for (size_t i = 0; i < outline.size(); ++i) {
    double step = 0;
    for (shape.me = 0; shape.me < shape.size(); ++shape.me) {
      step = std::max(step,
                      seconds(outline[i].tier, ExpectedTraffic(algorithm, shape, i, pair_bytes)));
    }
    total += outline[i].independent ? std::max(0.0, step - last_step) : step;
    last_step = step;
  }
  return total;
}

}  // namespace weft
