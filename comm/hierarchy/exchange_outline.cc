#include "comm/hierarchy/exchange_outline.h"

#include <array>

#include "base/check.h"

namespace weft {
namespace {

using Outline = ExchangeStepOutline;

constexpr std::array kDirectOutline = {Outline{ExchangeTier::kGroup}};
constexpr std::array kPipeOutline = {Outline{ExchangeTier::kIntraNode},
                                     Outline{.tier = ExchangeTier::kGroup, .independent = true}};
constexpr std::array k2DHOutline = {Outline{ExchangeTier::kIntraNode},
                                    Outline{ExchangeTier::kInterNode}};
constexpr std::array k1DHOutline = {Outline{ExchangeTier::kIntraNode},
                                    Outline{.tier = ExchangeTier::kInterNode, .leaders_only = true},
                                    Outline{ExchangeTier::kIntraNode}};
static_assert(k1DHOutline.size() == kMaxExchangeSteps);

// What the formulas speak in: N, G, P - G (the members elsewhere) and bytes.
struct Load {
  double pair_bytes;
  int64_t nodes, per_node, elsewhere;

  double bytes(int64_t pairs) const { return pair_bytes * static_cast<double>(pairs); }
};

ExchangeTraffic DirectTraffic(const Load& load) {
  const int64_t here = load.per_node - 1;
  return {here + load.elsewhere, load.bytes(here), load.bytes(load.elsewhere),
          load.bytes(here + load.elsewhere)};
}

ExchangeTraffic PipeTraffic(const Load& load, size_t step) {
  const int64_t pairs = step == 0 ? load.per_node - 1 : load.elsewhere;
  const double bytes = load.bytes(pairs);
  return step == 0 ? ExchangeTraffic{pairs, bytes, 0, bytes}
                   : ExchangeTraffic{pairs, 0, bytes, bytes};
}

ExchangeTraffic TwoLevelTraffic(const Load& load, size_t step) {
  if (step == 0) {
    const double bytes = load.bytes((load.per_node - 1) * load.nodes);
    return {load.per_node - 1, bytes, 0, bytes};
  }
  const double bytes = load.bytes(load.elsewhere);
  return {load.nodes - 1, 0, bytes, bytes};
}

// Rows inside the node travel beside the gather (from the leader) and beside the scatter (from the
// others), where the links' other direction is idle.
ExchangeTraffic LeaderTraffic(const Load& load, size_t step) {
  const int64_t others = load.per_node - 1;
  const double own = load.bytes(others);
  const double passed_on = load.bytes(others * load.elsewhere);
  if (step == 0) return {others, own, 0, passed_on};
  if (step == 2) return {others, passed_on, 0, own};
  const double between = load.bytes(load.per_node * load.elsewhere);
  return {load.nodes - 1, 0, between, between};
}
ExchangeTraffic FollowerTraffic(const Load& load, size_t step) {
  if (step == 0) return {1, load.bytes(load.elsewhere), 0, load.bytes(1)};
  if (step == 1) return {};
  const int64_t others = load.per_node - 1;
  return {others, load.bytes(others), 0, load.bytes(load.elsewhere + others - 1)};
}

}  // namespace

std::span<const ExchangeStepOutline> OutlineOf(AllToAllAlgorithm algorithm,
                                               const GroupShape& shape) {
  if (shape.flat()) return kDirectOutline;
  switch (algorithm) {
    case AllToAllAlgorithm::kDirect:
      return kDirectOutline;
    case AllToAllAlgorithm::kPipe:
      return kPipeOutline;
    case AllToAllAlgorithm::k2DH:
      return k2DHOutline;
    case AllToAllAlgorithm::k1DH:
      return k1DHOutline;
  }
  WEFT_CHECK(false, "an algorithm");
}

bool NeedsRows(AllToAllAlgorithm algorithm, const GroupShape& shape, int source, int destination) {
  if (source == shape.me || destination == shape.me) return true;
  if (shape.flat()) return false;
  const bool from_node = shape.node_of(source) == shape.node();
  switch (algorithm) {
    case AllToAllAlgorithm::kDirect:
    case AllToAllAlgorithm::kPipe:
      return false;
    case AllToAllAlgorithm::k2DH:
      return from_node && destination % shape.members_per_node == shape.local();
    case AllToAllAlgorithm::k1DH:
      return shape.local() == 0 && from_node != (shape.node_of(destination) == shape.node());
  }
  WEFT_CHECK(false, "an algorithm");
}

ExchangeTraffic ExpectedTraffic(AllToAllAlgorithm algorithm, const GroupShape& shape, size_t step,
                                double pair_bytes) {
  WEFT_CHECK(step < OutlineOf(algorithm, shape).size(), "a step of the algorithm");
  const Load load = {pair_bytes, shape.nodes, shape.members_per_node,
                     shape.size() - shape.members_per_node};
  if (shape.flat()) return DirectTraffic(load);
  switch (algorithm) {
    case AllToAllAlgorithm::kDirect:
      return DirectTraffic(load);
    case AllToAllAlgorithm::kPipe:
      return PipeTraffic(load, step);
    case AllToAllAlgorithm::k2DH:
      return TwoLevelTraffic(load, step);
    case AllToAllAlgorithm::k1DH:
      return shape.local() == 0 ? LeaderTraffic(load, step) : FollowerTraffic(load, step);
  }
  WEFT_CHECK(false, "an algorithm");
}

}  // namespace weft
