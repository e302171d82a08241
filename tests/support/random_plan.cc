#include "tests/support/random_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "tests/support/shuffle_order.h"

namespace weft {
namespace {

constexpr int32_t kMostChunks = 5;
constexpr int32_t kMostSlices = 4;

class Generator {
 public:
  Generator(const StepGraph& graph, uint64_t seed) : graph_(graph), random_(seed, "random plan") {}

  Plan Make() {
    plan_.graph_fingerprint = FingerprintOf(graph_);
    plan_.policy = "random";
    plan_.streams = From(1, kNumStreams);
    ChooseLayers();
    PlaceExperts();
    for (const Op& op : graph_.ops) {
      if (Has(plan_, op)) AddTasks(op);
    }
    return std::move(plan_);
  }

 private:
  int32_t From(int32_t least, int32_t most) {
    const uint64_t choices = 1 + static_cast<uint64_t>(most - least);
    return least + static_cast<int32_t>(random_.Bits(next_++) % choices);
  }

  void ChooseLayers() {
    std::set<int32_t> choosers;
    std::set<std::tuple<int32_t, Direction>> pipelines;
    for (const Op& op : graph_.ops) {
      if (op.algorithms != kAnyAlgorithm) choosers.insert(op.layer);
      if (op.cut == Cut::kChunks) pipelines.insert({op.layer, op.direction()});
    }
    for (const int32_t layer : choosers) {
      const auto which = static_cast<size_t>(From(0, kAllToAllAlgorithms.size() - 1));
      plan_.all_to_alls.push_back({layer, kAllToAllAlgorithms[which]});
    }
    for (const auto& [layer, direction] : pipelines) {
      const int32_t degree = From(1, kMostChunks);
      plan_.degrees.push_back({layer, direction, degree});
      const bool cut_block = From(0, 1) == 1 && degree <= graph_.block_pieces;
      block_chunks_[{layer, direction}] = cut_block ? degree : 1;
    }
  }

  // Every expert on one member, whichever; in a third of the plans whose experts are shared, shards
  // of some layers come together instead.
  void PlaceExperts() {
    std::set<int32_t> movers, sharers;
    for (const Op& op : graph_.ops) {
      if (op.away) movers.insert(op.layer);
      if (op.shards) sharers.insert(op.layer);
    }
    const ExpertPlacement home(graph_.experts, graph_.ep);
    if (!sharers.empty() && From(0, 2) == 0) {
      for (const int32_t layer : sharers) {
        int32_t gathered = From(1, graph_.esp);
        while (graph_.esp % gathered != 0) --gathered;
        if (gathered > 1) plan_.placements.layers.push_back({layer, home.by_member(), gathered});
      }
      plan_.numerics = NumericsOf(plan_.placements);
      return;
    }
    for (const int32_t layer : movers) {
      if (From(0, 1) == 0) continue;
      PlacementChoice choice;
      choice.layer = layer;
      choice.experts.resize(static_cast<size_t>(graph_.ep));
      for (int32_t expert = 0; expert < graph_.experts; ++expert) {
        choice.experts[static_cast<size_t>(From(0, graph_.ep - 1))].push_back(expert);
      }
      if (choice.experts != home.by_member()) plan_.placements.layers.push_back(std::move(choice));
    }
  }

  void AddTasks(const Op& op) {
    PlanTask task;
    task.op = op.id;
    switch (op.cut) {
      case Cut::kWhole:
        break;
      case Cut::kEither:
        task.num_chunks = IsWeightGradient(op.key.kind)
                              ? (From(0, 1) == 1 ? DegreeOf(plan_, op.layer, op.direction()) : 1)
                              : block_chunks_.at({op.layer, op.direction()});
        break;
      case Cut::kChunks:
        task.num_chunks = DegreeOf(plan_, op.layer, op.direction());
        break;
      case Cut::kSlices: {
        const std::vector<int64_t>& ends = SlicesOf(op);
        for (const int64_t end : ends) {
          task.begin = task.end;
          task.end = end;
          plan_.tasks.push_back(task);
        }
        return;
      }
    }
    for (task.chunk = 0; task.chunk < task.num_chunks; ++task.chunk) plan_.tasks.push_back(task);
  }

  // The operations of one gradient share their slices.
  const std::vector<int64_t>& SlicesOf(const Op& op) {
    const auto [found, added] =
        slice_ends_.try_emplace({op.layer, op.heads, op.key.group == GroupKind::kEdp});
    if (added) {
      std::set<int64_t> ends = {op.elements};
      for (int32_t i = From(0, kMostSlices - 1); i > 0; --i) {
        ends.insert(
            1 + static_cast<int64_t>(random_.Bits(next_++) % static_cast<uint64_t>(op.elements)));
      }
      found->second.assign(ends.begin(), ends.end());
    }
    return found->second;
  }

  const StepGraph& graph_;
  CounterRng random_;
  uint64_t next_ = 0;
  Plan plan_;
  std::map<std::tuple<int32_t, Direction>, int32_t> block_chunks_;
  // By layer, of heads, of experts.
  std::map<std::tuple<int32_t, bool, bool>, std::vector<int64_t>> slice_ends_;
};

}  // namespace

Plan RandomPlan(const StepGraph& graph, uint64_t seed) {
  return ShuffleOrder(graph, Generator(graph, seed).Make(), seed);
}

}  // namespace weft
