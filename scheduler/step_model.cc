#include "scheduler/step_model.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {

absl::StatusOr<std::unique_ptr<const StepModel>> StepModel::Make(
    const StepGraph& graph, const CostModel& costs, const std::vector<int32_t>& degrees,
    const Placements& placements) {
  WEFT_RETURN_IF_ERROR(ValidateStepGraph(graph));
  std::unique_ptr<StepModel> model(new StepModel(graph, costs));
  model->degrees_ = degrees;
  model->priced_degrees_ = degrees;
  if (!std::binary_search(degrees.begin(), degrees.end(), 1)) {
    model->priced_degrees_.insert(model->priced_degrees_.begin(), 1);
  }
  WEFT_RETURN_IF_ERROR(model->TakePlacements(placements));
  model->FindPipelines();
  model->FindWgrads();
  WEFT_RETURN_IF_ERROR(model->FindChains());
  model->FindChainsThatNeed();
  model->FindCostClasses();
  model->PriceOperations();
  return std::unique_ptr<const StepModel>(std::move(model));
}

double StepModel::ChunkSeconds(OpId op, int32_t degree) const {
  const auto found = std::lower_bound(priced_degrees_.begin(), priced_degrees_.end(), degree);
  WEFT_CHECK(found != priced_degrees_.end() && *found == degree, "the degree is a candidate");
  const size_t column = static_cast<size_t>(found - priced_degrees_.begin());
  return chunk_seconds_[static_cast<size_t>(op.value) * priced_degrees_.size() + column];
}

double StepModel::SliceSeconds(OpId id, int64_t elements) const {
  const Op& op = graph_.op(id);
  const double share = static_cast<double>(elements) / static_cast<double>(op.elements);
  return costs_.Estimate(op.key, op.size * share).seconds;
}

absl::Status StepModel::TakePlacements(const Placements& placements) {
  placed_.assign(static_cast<size_t>(graph_.num_layers), Placed{});
  WEFT_RETURN_IF_ERROR(CheckPlacements(graph_, placements));
  for (const PlacementChoice& choice : placements.layers) {
    WEFT_ASSIGN_OR_RETURN(const ExpertPlacement placement,
                          ExpertPlacement::Make(graph_.experts, choice.experts));
    Placed& placed = placed_[static_cast<size_t>(choice.layer)];
    placed.gathered = choice.gathered;
    if (choice.gathered == 1) placed.moved = placement.most_moved();
  }
  return absl::OkStatus();
}

void StepModel::FindPipelines() {
  using Key = std::tuple<int32_t, Direction, int32_t>;  // layer, direction, micro-batch
  std::map<Key, std::vector<OpId>> groups;              // also those without a stage
  for (const Op& op : graph_.ops) {
    if (op.cut != Cut::kChunks && op.cut != Cut::kEither) continue;
    std::vector<OpId>& stages = groups[Key(op.layer, op.direction(), op.micro_batch)];
    if (op.cut == Cut::kChunks) stages.push_back(op.id);
  }
  choosers_ = LayersWithChoice(graph_);
  pipeline_of_.assign(graph_.ops.size(), -1);
  for (const auto& [key, stages] : groups) {
    const auto& [layer, direction, micro_batch] = key;
    const int32_t index = static_cast<int32_t>(pipelines_.size());
    if (slots_.empty() || slots_.back().layer != layer || slots_.back().direction != direction) {
      slots_.emplace_back();
      slots_.back().layer = layer;
      slots_.back().direction = direction;
    }
    if (stages.empty()) continue;
    slots_.back().pipelines.push_back(index);
    Pipeline pipeline;
    pipeline.slot = static_cast<int32_t>(slots_.size()) - 1;
    pipeline.micro_batch = micro_batch;
    pipeline.stages = stages;
    for (const OpId stage : stages) {
      pipeline_of_[static_cast<size_t>(stage.value)] = index;
      for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
        if (!graph_.op(stage).RunsUnder(algorithm)) continue;
        pipeline.stages_by_algorithm[static_cast<size_t>(algorithm)].push_back(stage);
      }
    }
    for (const OpId stage : stages) {
      for (const OpId need : graph_.op(stage).needs) {
        const bool inside = pipeline_of_[static_cast<size_t>(need.value)] == index;
        if (!inside && need > stages.front()) pipeline.closed = false;
      }
    }
    pipelines_.push_back(std::move(pipeline));
  }
  slot_of_.assign(graph_.ops.size(), -1);
  for (const Op& op : graph_.ops) {
    if (op.cut != Cut::kChunks && op.cut != Cut::kEither) continue;
    const auto slot = std::lower_bound(
        slots_.begin(), slots_.end(), std::pair(op.layer, op.direction()),
        [](const DegreeSlot& s, const auto& k) { return std::pair(s.layer, s.direction) < k; });
    slot_of_[static_cast<size_t>(op.id.value)] = static_cast<int32_t>(slot - slots_.begin());
    slot->has_block |=
        op.cut == Cut::kEither && !IsWeightGradient(op.key.kind) && graph_.block_pieces > 1;
  }
}

void StepModel::FindWgrads() {
  wgrad_of_.assign(graph_.ops.size(), -1);
  for (const Op& op : graph_.ops) {
    if (op.key.kind != OpKind::kExpertWgrad) continue;
    int32_t owner = -1;
    for (const OpId need : op.needs) {
      owner = std::max(owner, pipeline_of_[static_cast<size_t>(need.value)]);
    }
    if (owner < 0) continue;
    Pipeline& pipeline = pipelines_[static_cast<size_t>(owner)];
    bool movable = pipeline.closed && !pipeline.wgrad.valid() && op.id > pipeline.stages.back();
    for (const OpId need : op.needs) {
      const bool inside = pipeline_of_[static_cast<size_t>(need.value)] == owner;
      movable &= inside || need < pipeline.stages.front();
    }
    if (!movable) continue;
    pipeline.wgrad = op.id;
    slots_[static_cast<size_t>(pipeline.slot)].has_wgrad = true;
    wgrad_of_[static_cast<size_t>(op.id.value)] = owner;
  }
}

absl::Status StepModel::FindChains() {
  chain_of_.assign(graph_.ops.size(), -1);
  for (const Op& op : graph_.ops) {
    if (op.cut != Cut::kSlices) continue;
    int32_t chain = -1;
    for (const OpId need : op.needs) {
      const int32_t other = chain_of_[static_cast<size_t>(need.value)];
      if (other >= 0 && chains_[static_cast<size_t>(other)].elements == op.elements) chain = other;
    }
    if (chain < 0) {
      chain = static_cast<int32_t>(chains_.size());
      chains_.emplace_back();
      chains_.back().elements = op.elements;
      chains_.back().gathers = op.direction() == Direction::kForward;
    }
    GradientChain& members = chains_[static_cast<size_t>(chain)];
    chain_of_[static_cast<size_t>(op.id.value)] = chain;
    if (op.stream == StreamKind::kInter && members.inter_op < 0) {
      members.inter_op = static_cast<int32_t>(members.ops.size());
    }
    members.ops.push_back(op.id);
    for (const OpId need : op.needs) {
      const int32_t other = chain_of_[static_cast<size_t>(need.value)];
      if (other == chain) continue;
      if (other >= 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("step graph: ", OpName(graph_, op.id), " and ", OpName(graph_, need),
                         ", which it needs, are sliced over different elements"));
      }
      if (Has(graph_.op(need))) members.needs.push_back(need);
    }
  }
  return absl::OkStatus();
}

void StepModel::FindChainsThatNeed() {
  chains_begin_.assign(graph_.ops.size() + 1, 0);
  for (const GradientChain& chain : chains_) {
    for (const OpId need : chain.needs) ++chains_begin_[static_cast<size_t>(need.value) + 1];
  }
  std::partial_sum(chains_begin_.begin(), chains_begin_.end(), chains_begin_.begin());
  chains_that_need_.resize(chains_begin_.back());
  std::vector<size_t> next(chains_begin_.begin(), chains_begin_.end() - 1);
  for (size_t chain = 0; chain < chains_.size(); ++chain) {
    for (const OpId need : chains_[chain].needs)
      chains_that_need_[next[static_cast<size_t>(need.value)]++] = static_cast<int32_t>(chain);
  }
}

void StepModel::FindCostClasses() {
  // Key, stream and size of every stage of every micro-batch, and of the wgrad behind it.
  using Signature = std::vector<std::tuple<CostKey, StreamKind, double>>;
  std::map<Signature, int32_t> classes;
  for (DegreeSlot& slot : slots_) {
    Signature signature;
    const auto add = [&](OpId id) {
      const Op& op = graph_.op(id);
      signature.emplace_back(op.key, op.stream, op.size);
    };
    for (const int32_t index : slot.pipelines) {
      const Pipeline& pipeline = pipelines_[static_cast<size_t>(index)];
      for (const OpId stage : pipeline.stages) add(stage);
      if (pipeline.wgrad.valid()) add(pipeline.wgrad);
    }
    if (slot.has_block) {
      for (const Op& op : graph_.ops) {
        const bool inside = op.layer == slot.layer && op.direction() == slot.direction;
        if (inside && op.cut == Cut::kEither) add(op.id);
      }
    }
    slot.cost_class =
        classes.emplace(std::move(signature), static_cast<int32_t>(classes.size())).first->second;
  }
  num_cost_classes_ = static_cast<int32_t>(classes.size());
}

void StepModel::PriceOperations() {
  seconds_.assign(graph_.ops.size(), 0);
  chunk_seconds_.assign(graph_.ops.size() * priced_degrees_.size(), 0);
  for (const Op& op : graph_.ops) {
    const size_t row = static_cast<size_t>(op.id.value);
    double times = 1;
    if (op.away) times = placed_[static_cast<size_t>(op.layer)].moved;
    if (op.shards) times = placed_[static_cast<size_t>(op.layer)].gathered - 1;
    seconds_[row] = SecondsOf(costs_, op.key, op.size * times);
    if (op.cut != Cut::kChunks && op.cut != Cut::kEither) continue;
    for (size_t column = 0; column < priced_degrees_.size(); ++column) {
      chunk_seconds_[row * priced_degrees_.size() + column] =
          SecondsOf(costs_, op.key, op.size / priced_degrees_[column]);
    }
  }
}

}  // namespace weft
