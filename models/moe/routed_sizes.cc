#include "models/moe/routed_sizes.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "comm/hierarchy/exchange_outline.h"
#include "models/moe/ep_shape.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {
namespace {

bool CarriesRows(OpKind kind) {
  switch (kind) {
    case OpKind::kDispatch:
    case OpKind::kEspAllGather:
    case OpKind::kExpert:
    case OpKind::kEspReduceScatter:
    case OpKind::kCombine:
      return true;
    default:
      return false;
  }
}

std::vector<LayerCut> CutsOf(const StepGraph& graph, const Plan& plan, const BatchShape& batch) {
  const auto layers = static_cast<size_t>(graph.num_layers);
  std::vector<DirectionCut> forward(layers), backward(layers);
  for (size_t layer = 0; layer < layers; ++layer) {
    const auto l = static_cast<int32_t>(layer);
    forward[layer].degree = DegreeOf(plan, l, Direction::kForward);
    backward[layer].degree = DegreeOf(plan, l, Direction::kBackward);
  }
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    if (op.cut != Cut::kEither || IsWeightGradient(op.key.kind) || task.num_chunks == 1) continue;
    auto& cuts = op.direction() == Direction::kForward ? forward : backward;
    cuts[static_cast<size_t>(op.layer)].block = true;
  }
  std::vector<LayerCut> cuts;
  for (size_t layer = 0; layer < layers; ++layer) {
    cuts.emplace_back(batch, forward[layer], backward[layer]);
  }
  return cuts;
}

}  // namespace

RoutedSizes::RoutedSizes(const Args& args)
    : args_(args),
      ranks_(static_cast<size_t>(args.topology.world_size)),
      experts_(static_cast<size_t>(args.spec.moe.num_experts)),
      cuts_(CutsOf(args.graph, args.plan, args.batch)),
      home_(MakePlaced(ExpertPlacement(args.spec.moe.num_experts, args.layout.ep), 1)) {
  const Layout& layout = args.layout;
  for (const PlacementChoice& choice : args.plan.placements.layers) {
    placed_.emplace(choice.layer,
                    MakePlaced(PlacementOf(args.graph, args.plan, choice.layer), choice.gathered));
  }
  for (int32_t rank = 0; rank < args.topology.world_size; ++rank) {
    if (layout.ep_index(RankId{rank}) != 0) continue;
    EpGroup& group = ep_groups_.emplace_back();
    for (const RankId member : GroupOf(args.topology, layout, GroupKind::kEp, RankId{rank})) {
      group.members.push_back(member.value);
    }
    group.shape = EpShape(args.topology, layout, RankId{rank});
  }
  for (const PlanTask& task : args.plan.tasks) {
    const Op& op = args.graph.op(task.op);
    if (!CarriesRows(op.key.kind)) continue;
    ++chunks_[{op.micro_batch, op.layer, op.direction(), task.chunk}].tasks_left;
  }
  const auto members = static_cast<size_t>(layout.ep);
  pairs_.resize(members * members);
  turned_.resize(members * members);
  moved_.resize(members);
}

bool RoutedSizes::Sizes(int32_t task, std::span<double> sizes) {
  const PlanTask& of = args_.plan.tasks[static_cast<size_t>(task)];
  const Op& op = args_.graph.op(of.op);
  if (op.key.kind == OpKind::kExpertWgrad) {
    const std::vector<int64_t> rows = TotalRows(op.layer, op.micro_batch);
    for (size_t r = 0; r < ranks_; ++r) {
      sizes[r] =
          ExpertSize(static_cast<int32_t>(r), PlacedOf(op.layer).gathered, rows[r]) / of.num_chunks;
    }
    return true;
  }
  if (!CarriesRows(op.key.kind)) return false;
  const ChunkKey key = {op.micro_batch, op.layer, op.direction(), of.chunk};
  const auto found = chunks_.find(key);
  WEFT_CHECK(found != chunks_.end(), "every task is asked for once");
  Chunk& chunk = found->second;
  if (!chunk.known) Work(key, chunk);
  const int64_t width = args_.spec.hidden_size;
  const int32_t gathered = PlacedOf(op.layer).gathered;
  for (size_t r = 0; r < ranks_; ++r) {
    const int64_t received = chunk.received[r], arrived = chunk.arrived[r];
    switch (op.key.kind) {
      case OpKind::kDispatch:
        sizes[r] = chunk.dispatch[static_cast<size_t>(op.step)][r];
        break;
      case OpKind::kCombine:
        sizes[r] = chunk.combine[static_cast<size_t>(op.step)][r];
        break;
      case OpKind::kEspAllGather:
        sizes[r] =
            AllGatherBytes(received * width, args_.layout.esp / gathered, args_.spec.dtype());
        break;
      case OpKind::kEspReduceScatter:
        sizes[r] = ReduceScatterBytes(arrived * width, received * width, args_.spec.dtype());
        break;
      default:
        sizes[r] = ExpertSize(static_cast<int32_t>(r), gathered, arrived);
    }
  }
  if (--chunk.tasks_left == 0) chunks_.erase(found);
  return true;
}

double RoutedSizes::ExpertSize(int32_t rank, int32_t gathered, int64_t rows) const {
  const Layout& layout = args_.layout;
  const int32_t units = HiddenShardOf(args_.spec.ffn_hidden_size, layout.esp / gathered,
                                      layout.esp_index(RankId{rank}) / gathered)
                            .count;
  return ExpertFlops(args_.spec, units, rows);
}

void RoutedSizes::LoadMatrix(const LayerKey& key) {
  if (matrix_of_ == key) return;
  matrix_of_ = key;
  matrix_.resize(ranks_ * experts_);
  for (size_t r = 0; r < ranks_; ++r) {
    args_.rows.Count(key.layer, key.micro_batch, static_cast<int32_t>(r), key.tokens,
                     std::span(matrix_).subspan(r * experts_, experts_));
  }
}

RoutedSizes::Placed RoutedSizes::MakePlaced(ExpertPlacement placement, int32_t gathered) {
  Placed placed{std::move(placement), {}, gathered};
  for (int32_t e = 0; e < placed.placement.experts(); ++e) {
    const std::span<const int32_t> copies = placed.placement.copies(e);
    placed.only.push_back(copies.size() == 1 ? placed.placement.member(copies.front()) : -1);
  }
  return placed;
}

const RoutedSizes::Placed& RoutedSizes::PlacedOf(int32_t layer) const {
  const auto placed = placed_.find(layer);
  return placed == placed_.end() ? home_ : placed->second;
}

template <typename Add>
void RoutedSizes::DealOut(const Placed& placed, const EpGroup& group, size_t source, size_t expert,
                          int64_t rows, Add add) {
  const std::vector<int32_t> to = placed.placement.SlotsFor(
      static_cast<int32_t>(source), static_cast<int32_t>(expert), group.shape.members_per_node);
  const size_t turns = to.size();
  for (size_t i = 0; i < turns; ++i) {
    // Row n goes to slot (source + n) mod turns.
    const auto first = static_cast<int64_t>((i + turns - source % turns) % turns);
    const auto every = static_cast<int64_t>(turns);
    const int64_t taken = rows > first ? (rows - first + every - 1) / every : 0;
    add(static_cast<size_t>(placed.placement.member(to[i])), taken);
  }
}

void RoutedSizes::CountPairs(const EpGroup& group, const Placed& placed, int32_t chunk,
                             int32_t degree) {
  const size_t members = group.members.size();
  std::fill(pairs_.begin(), pairs_.end(), 0);
  // Most blocks are small: looked up, not divided.
  std::array<int32_t, 1024> small_share;
  for (size_t n = 0; n < small_share.size(); ++n) {
    small_share[n] = static_cast<int32_t>(ChunkOf(static_cast<int64_t>(n), chunk, degree).count());
  }
  const auto share = [&](int32_t n) -> int64_t {
    const auto small = static_cast<size_t>(n);
    return small < small_share.size() ? small_share[small] : ChunkOf(n, chunk, degree).count();
  };
  for (size_t source = 0; source < members; ++source) {
    const int32_t* rows = matrix_.data() + static_cast<size_t>(group.members[source]) * experts_;
    int64_t* to = pairs_.data() + source * members;
    for (size_t e = 0; e < experts_; ++e) {
      if (placed.only[e] >= 0) {
        to[placed.only[e]] += share(rows[e]);
        continue;
      }
      DealOut(placed, group, source, e, rows[e],
              [&](size_t member, int64_t n) { to[member] += share(static_cast<int32_t>(n)); });
    }
  }
}

void RoutedSizes::ExchangeSizes(const EpGroup& group, AllToAllAlgorithm algorithm,
                                std::span<const int64_t> pairs,
                                std::vector<std::vector<double>>& sizes) {
  group_rows_.Build(group.shape, pairs);
  for (size_t step = 0; step < sizes.size(); ++step) {
    group_rows_.Count(algorithm, step, moved_);
    for (size_t p = 0; p < group.members.size(); ++p) {
      const MovedRows& moved = moved_[p];
      sizes[step][static_cast<size_t>(group.members[p])] =
          moved.joins ? AllToAllBytes(std::max(moved.sent, moved.received) * args_.spec.hidden_size,
                                      args_.spec.dtype())
                      : kNoPart;
    }
  }
}

void RoutedSizes::Work(const ChunkKey& key, Chunk& chunk) {
  const auto& [micro_batch, layer, direction, index] = key;
  const LayerCut& layer_cut = cuts_[static_cast<size_t>(layer)];
  const DirectionCut& cut = layer_cut.of(direction);
  // A cut block's chunk is what a range of tokens sends; otherwise a chunk is a part of all rows.
  LoadMatrix({layer, micro_batch, layer_cut.tokens(direction, cut.block ? index : 0)});
  chunk.known = true;
  chunk.received.assign(ranks_, 0);
  chunk.arrived.assign(ranks_, 0);
  const AllToAllAlgorithm algorithm = AlgorithmOf(args_.plan, layer);
  const size_t steps =
      args_.layout.ep == 1 ? 0 : OutlineOf(algorithm, ep_groups_.front().shape).size();
  chunk.dispatch.assign(steps, std::vector<double>(ranks_));
  const bool passed_on =
      (algorithm == AllToAllAlgorithm::k2DH || algorithm == AllToAllAlgorithm::k1DH) &&
      !ep_groups_.front().shape.flat();
  if (passed_on) chunk.combine = chunk.dispatch;
  for (const EpGroup& group : ep_groups_) {
    CountPairs(group, PlacedOf(layer), index, cut.block ? 1 : cut.degree);
    const size_t members = group.members.size();
    received_.assign(members, 0);
    for (size_t source = 0; source < members; ++source) {
      const int64_t* rows = pairs_.data() + source * members;
      for (size_t to = 0; to < members; ++to) received_[to] += rows[to];
    }
    for (size_t p = 0; p < members; ++p) {
      chunk.received[static_cast<size_t>(group.members[p])] = received_[p];
    }
    if (steps == 0) continue;
    ExchangeSizes(group, algorithm, pairs_, chunk.dispatch);
    // The way back. Where no rows are passed on, what was sent is received, and a size is the same.
    if (!passed_on) continue;
    for (size_t source = 0; source < members; ++source) {
      for (size_t to = 0; to < members; ++to) {
        turned_[to * members + source] = pairs_[source * members + to];
      }
    }
    ExchangeSizes(group, algorithm, turned_, chunk.combine);
  }
  if (!passed_on) chunk.combine = chunk.dispatch;
  Gathered(chunk.received, PlacedOf(layer).gathered, chunk.arrived);
}

// An ESP group is esp ranks that follow one another; of these, every `gathered`-th gather rows.
void RoutedSizes::Gathered(const std::vector<int64_t>& received, int32_t gathered,
                           std::vector<int64_t>& arrived) const {
  const auto esp = static_cast<size_t>(args_.layout.esp);
  const auto apart = static_cast<size_t>(gathered);
  for (size_t first = 0; first < ranks_; first += esp) {
    for (size_t place = 0; place < apart; ++place) {
      int64_t rows = 0;
      for (size_t j = place; j < esp; j += apart) rows += received[first + j];
      for (size_t j = place; j < esp; j += apart) arrived[first + j] = rows;
    }
  }
}

std::vector<int64_t> RoutedSizes::TotalRows(int32_t layer, int32_t micro_batch) {
  LoadMatrix({layer, micro_batch, {0, args_.batch.tokens()}});
  std::vector<int64_t> received(ranks_, 0);
  const Placed& placed = PlacedOf(layer);
  for (const EpGroup& group : ep_groups_) {
    for (size_t source = 0; source < group.members.size(); ++source) {
      const int32_t* rows = matrix_.data() + static_cast<size_t>(group.members[source]) * experts_;
      for (size_t e = 0; e < experts_; ++e) {
        const auto add = [&](size_t member, int64_t n) {
          received[static_cast<size_t>(group.members[member])] += n;
        };
        if (placed.only[e] >= 0) {
          add(static_cast<size_t>(placed.only[e]), rows[e]);
        } else {
          DealOut(placed, group, source, e, rows[e], add);
        }
      }
    }
  }
  std::vector<int64_t> arrived(ranks_);
  Gathered(received, placed.gathered, arrived);
  return arrived;
}

}  // namespace weft
