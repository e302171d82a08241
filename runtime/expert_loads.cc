#include "runtime/expert_loads.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "graph/fixed_plan.h"
#include "models/moe/ep_shape.h"
#include "models/moe/routed_rows.h"
#include "models/moe/routed_sizes.h"
#include "scheduler/placement/choose_placement.h"

namespace weft {
namespace {

constexpr size_t kAveraged = 8;  // steps that Apply looks at

// The all-to-alls that a graph knows.
std::vector<AllToAllAlgorithm> AlgorithmsOf(const StepGraph& graph) {
  if (LayersWithChoice(graph).empty()) return {AllToAllAlgorithm::kDirect};
  return {kAllToAllAlgorithms.begin(), kAllToAllAlgorithms.end()};
}

}  // namespace

void ExpertLoads::Record(std::span<const int32_t> counts) {
  fullness_.push_front(FullnessOf(counts));
  if (fullness_.size() > kAveraged) fullness_.pop_back();
  recent_.emplace_front(counts.begin(), counts.end());
  // Enough to follow through every step that Apply looks at.
  if (recent_.size() > kAveraged + FollowLoad::kMostWindow) recent_.pop_back();
}

double ExpertLoads::FullnessOf(std::span<const int32_t> counts) const {
  const Layout& layout = shape_.layout;
  const auto experts = static_cast<size_t>(shape_.model.moe.num_experts);
  const auto layers = static_cast<size_t>(shape_.model.num_moe_layers());
  const auto world = static_cast<size_t>(shape_.topology.world_size);
  // Rows of a layer by copy and EP member; a member's ESP shards all have the same.
  const size_t members = static_cast<size_t>(layout.edp) * static_cast<size_t>(layout.ep);
  double busiest = 0, mean = 0;
  std::vector<int64_t> rows(members);
  for (size_t layer = 0; layer < layers; ++layer) {
    std::fill(rows.begin(), rows.end(), 0);
    for (size_t r = 0; r < world; ++r) {
      const auto copy = static_cast<size_t>(layout.edp_index(RankId{static_cast<int32_t>(r)}));
      const int32_t* of = counts.data() + (r * layers + layer) * experts;
      for (size_t e = 0; e < experts; ++e) {
        const int32_t home =
            HomeOf(shape_.model.moe.num_experts, layout.ep, static_cast<int32_t>(e));
        rows[copy * static_cast<size_t>(layout.ep) + static_cast<size_t>(home)] += of[e];
      }
    }
    busiest += static_cast<double>(*std::max_element(rows.begin(), rows.end()));
    mean += static_cast<double>(std::accumulate(rows.begin(), rows.end(), int64_t{0})) /
            static_cast<double>(members);
  }
  return mean > 0 ? busiest / mean : 1;
}

double ExpertLoads::Fullness() const {
  if (fullness_.empty()) return 1;
  return std::accumulate(fullness_.begin(), fullness_.end(), 0.0) /
         static_cast<double>(fullness_.size());
}

std::vector<int64_t> ExpertLoads::MeanRows(size_t age, size_t steps, int32_t layer,
                                           const ExpertHomes& homes) const {
  const MoeSpec& moe = shape_.model.moe;
  const auto experts = static_cast<size_t>(moe.num_experts);
  const auto world = static_cast<size_t>(shape_.topology.world_size);
  const size_t of_rank = recent_.front().size() / world;
  const size_t first = static_cast<size_t>(layer / moe.every) * experts;
  std::vector<int64_t> rows(world * experts, 0);
  for (size_t s = age; s < age + steps; ++s) {
    for (size_t r = 0; r < world; ++r) {
      const int32_t* of = recent_[s].data() + r * of_rank + first;
      for (size_t home = 0; home < experts; ++home)
        rows[r * experts + home] += of[homes.expert_at(static_cast<int32_t>(home))];
    }
  }
  for (int64_t& sum : rows) sum /= static_cast<int64_t>(steps);
  return rows;
}

ExpertPlacement ExpertLoads::FollowFrom(size_t age, const Placements& placements,
                                        int32_t layer) const {
  WEFT_CHECK(age < recent_.size(), "something was known then");
  const FollowLoad& terms = *placements.follow_load;
  const int32_t experts = shape_.model.moe.num_experts;
  const size_t steps = std::min(recent_.size() - age, static_cast<size_t>(terms.window));
  const int32_t per_node = EpShape(shape_.topology, shape_.layout, RankId{0}).members_per_node;
  return ChoosePlacement(shape_.layout, per_node, experts, terms,
                         MeanRows(age, steps, layer, HomesOf(placements.homes, experts, layer)));
}

ExpertPlacement ExpertLoads::Follow(const Placements& placements, int32_t layer) const {
  return FollowFrom(0, placements, layer);
}

Placements ExpertLoads::FollowAll(const FollowLoad& terms,
                                  const std::vector<HomeChoice>& homes) const {
  Placements placements;
  placements.follow_load = terms;
  placements.homes = homes;
  for (int32_t layer = 0; layer < shape_.model.num_layers; ++layer) {
    if (!shape_.model.is_moe_layer(layer)) continue;
    const ExpertPlacement placement =
        empty() ? ExpertPlacement(shape_.model.moe.num_experts, shape_.layout.ep)
                : Follow(placements, layer);
    placements.layers.push_back({layer, placement.by_member()});
  }
  return placements;
}

std::vector<HomeChoice> ExpertLoads::Rebalance(const FollowLoad& terms,
                                               const std::vector<HomeChoice>& homes) const {
  const int32_t per_node = EpShape(shape_.topology, shape_.layout, RankId{0}).members_per_node;
  std::vector<HomeChoice> chosen;
  for (int32_t layer = 0; layer < shape_.model.num_layers; ++layer) {
    if (!shape_.model.is_moe_layer(layer)) continue;
    const ExpertHomes now = HomesOf(homes, shape_.model.moe.num_experts, layer);
    const ExpertHomes then =
        ChooseHomes(shape_.layout, per_node, terms, MeanRows(0, recent_.size(), layer, now), now);
    if (!then.as_configured()) chosen.push_back({layer, then.by_home()});
  }
  return chosen;
}

size_t ExpertLoads::applied() const { return std::min(recent_.size(), kAveraged); }

Placements ExpertLoads::PlacedAt(size_t age, const Placements& placements) const {
  Placements placed = placements;
  if (!placements.follow_load.has_value() || age + 1 >= recent_.size()) return placed;
  for (PlacementChoice& choice : placed.layers)
    choice.experts = FollowFrom(age + 1, placements, choice.layer).by_member();
  return placed;
}

std::vector<std::optional<double>> ExpertLoads::SizesAt(size_t age, const StepGraph& graph,
                                                        const Placements& placed) const {
  const auto world = static_cast<size_t>(shape_.topology.world_size);
  const auto experts = static_cast<size_t>(shape_.model.moe.num_experts);
  const auto layers = static_cast<size_t>(shape_.model.num_moe_layers());
  // By home: what follows does not know who lives there.
  std::vector<std::vector<int32_t>> matrices;
  for (int32_t layer = 0; layer < shape_.model.num_layers; ++layer) {
    if (!shape_.model.is_moe_layer(layer)) continue;
    const ExpertHomes homes = HomesOf(placed.homes, shape_.model.moe.num_experts, layer);
    const size_t first = matrices.size() * experts;
    std::vector<int32_t>& matrix = matrices.emplace_back();
    for (size_t r = 0; r < world; ++r) {
      const int32_t* of = recent_[age].data() + r * layers * experts + first;
      for (int32_t home = 0; home < homes.experts(); ++home)
        matrix.push_back(of[homes.expert_at(home)] / shape_.batch.micro_batches);
    }
  }
  const CountedRows rows(shape_.model, shape_.batch, std::move(matrices));
  std::vector<double> sizes(world);
  std::vector<std::optional<double>> busiest(graph.ops.size());
  // Operations of every algorithm are the same task in several plans.
  for (const AllToAllAlgorithm algorithm : AlgorithmsOf(graph)) {
    const Plan plan = MakeFixedPlan(graph, {.all_to_all = algorithm, .placements = placed});
    RoutedSizes routed(
        {graph, plan, shape_.model, shape_.topology, shape_.layout, shape_.batch, rows});
    for (size_t t = 0; t < plan.tasks.size(); ++t) {
      if (!routed.Sizes(static_cast<int32_t>(t), sizes)) continue;
      std::optional<double>& size = busiest[static_cast<size_t>(plan.tasks[t].op.value)];
      if (!size.has_value()) size = std::max(0.0, *std::max_element(sizes.begin(), sizes.end()));
    }
  }
  return busiest;
}

StepGraph ExpertLoads::Apply(const StepGraph& graph, const Placements& placements) const {
  StepGraph loaded = graph;
  std::vector<double> sums(graph.ops.size(), 0);
  std::vector<int32_t> counted(graph.ops.size(), 0);
  for (size_t age = 0; age < applied(); ++age) {
    const auto sizes = SizesAt(age, graph, PlacedAt(age, placements));
    for (size_t op = 0; op < sizes.size(); ++op) {
      if (!sizes[op].has_value()) continue;
      sums[op] += *sizes[op];
      ++counted[op];
    }
  }
  for (size_t op = 0; op < sums.size(); ++op) {
    if (counted[op] > 0) loaded.ops[op].size = sums[op] / counted[op];
  }
  return loaded;
}

std::vector<LoadedStep> ExpertLoads::ApplyEach(const StepGraph& graph,
                                               const Placements& placements) const {
  std::vector<LoadedStep> steps;
  for (size_t age = 0; age < applied(); ++age) {
    LoadedStep& step = steps.emplace_back(LoadedStep{graph, PlacedAt(age, placements)});
    const auto sizes = SizesAt(age, graph, step.placements);
    for (size_t op = 0; op < sizes.size(); ++op) {
      if (sizes[op].has_value()) step.graph.ops[op].size = *sizes[op];
    }
  }
  return steps;
}

}  // namespace weft
