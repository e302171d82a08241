#include "runtime/train_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numbers>

#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {
namespace {

// Fields of one rank's contribution to the step reduction.
enum Field { kSumOfSquares, kCrossEntropy, kBalance, kPreparedEpoch, kStop, kCheckpoint, kFields };

// A part of a slice: [begin, end) cut by the replicas of a node.
RowRange ShareOf(const PlanTask& task, int32_t place, int32_t count) {
  const RowRange within = ChunkOf(task.end - task.begin, place, count);
  return {task.begin + within.begin, task.begin + within.end};
}

}  // namespace

TrainProgram::TrainProgram(const Args& args)
    : args_(args),
      loads_({args.model->spec(), args.topology, args.layout, args.batch}),
      share_rows_(static_cast<size_t>(args.topology.ranks_per_node)),
      squares_(args.kernels->memory()),
      own_(kFields) {
  squares_.Ensure<double>({1});
  const ModelSpec& spec = args.model->spec();
  if (args.kind == StepKind::kTraining) {
    own_counts_.resize(static_cast<size_t>(spec.num_moe_layers()) *
                       static_cast<size_t>(spec.moe.num_experts));
    own_.resize(kFields + (own_counts_.size() + 1) / 2);
    expert_counts_.resize(static_cast<size_t>(args.topology.world_size) * own_counts_.size());
    if (args.sharded == nullptr) ReserveReduced();
  }
  reduction_.resize(static_cast<size_t>(args.topology.world_size) * own_.size());
}

void TrainProgram::ReserveReduced() {
  const int32_t ranks = args_.topology.ranks_per_node;
  const auto layers = static_cast<size_t>(args_.model->num_layers());
  Memory& memory = args_.kernels->memory();
  const auto make = [&memory](size_t count, std::vector<Buffer>& buffers) {
    while (buffers.size() < count) buffers.emplace_back(memory);
  };
  if (ranks > 1) make(layers + 1, reduced_);
  if (args_.layout.mp > 1 && args_.layout.mp < ranks) make(layers, reduced_heads_);
  for (size_t i = 0; i < reduced_.size(); ++i) {
    const Bucket& bucket =
        i == layers ? args_.parameters->outer() : args_.parameters->dense(static_cast<int32_t>(i));
    reduced_[i].Ensure<float>({bucket.elements});
  }
  for (size_t i = 0; i < reduced_heads_.size(); ++i) {
    reduced_heads_[i].Ensure<float>(
        {args_.parameters->attention(static_cast<int32_t>(i)).elements});
  }
}

absl::Status TrainProgram::Prepare(const StepGraph& graph, const Plan& plan) {
  layers_.clear();
  const auto at_home = std::make_shared<const ExpertPlacement>(graph.experts, graph.ep);
  for (int32_t layer = 0; layer < graph.num_layers; ++layer) {
    layers_.push_back({{DegreeOf(plan, layer, Direction::kForward)},
                       {DegreeOf(plan, layer, Direction::kBackward)},
                       AlgorithmOf(plan, layer),
                       at_home,
                       GatheredOf(plan, layer)});
  }
  placements_ = plan.placements;
  for (const PlacementChoice& choice : placements_.layers) {
    layers_[static_cast<size_t>(choice.layer)].placement =
        std::make_shared<const ExpertPlacement>(PlacementOf(graph, plan, choice.layer));
  }
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    if (op.cut != Cut::kEither || task.num_chunks == 1) continue;
    LayerWays& layer = layers_[static_cast<size_t>(op.layer)];
    (op.direction() == Direction::kForward ? layer.forward : layer.backward).block = true;
  }
  return absl::OkStatus();
}

// Every rank for itself: the counts are the same on all of them, and so is the answer.
void TrainProgram::FollowTheLoad() {
  if (loads_.empty()) return;
  for (const PlacementChoice& choice : placements_.layers) {
    layers_[static_cast<size_t>(choice.layer)].placement =
        std::make_shared<const ExpertPlacement>(loads_.Follow(placements_, choice.layer));
  }
}

void TrainProgram::Begin(const StepArgs& args) {
  if (placements_.follow_load.has_value()) FollowTheLoad();
  const int64_t sequences = args_.batch.global_sequences;
  const int64_t mine = sequences / args_.topology.world_size;
  args_.model->Begin(args_.kind, layers_, args.tokens, args.labels,
                     {.workload = args.workload.value_or(args_.workload),
                      .step = args.step,
                      .first_sequence = args_.rank.value * mine,
                      .global_sequences = sequences});
  update_ = args.update;
  learning_rate_ = args.learning_rate;
  agreement_ = args.agreement;
  if (args_.kind == StepKind::kTraining) args_.parameters->ZeroGradients();
}

absl::Status TrainProgram::Run(const Op& op, const PlanTask& task, double* size) {
  *size = op.size;
  switch (op.key.kind) {
    case OpKind::kGradReduceScatter:
      if (args_.sharded != nullptr) return args_.sharded->Run(op, task, size);
      return ReduceScatterSlice(op, task, size);
    case OpKind::kGradNodeReduceScatter:
    case OpKind::kParamNodeAllGather:
    case OpKind::kParamAllGather:
    case OpKind::kExpertGradReduceScatter:
    case OpKind::kExpertParamAllGather:
      return args_.sharded->Run(op, task, size);
    case OpKind::kGradAllReduce:
      return AllReduceSlice(op, task, size);
    case OpKind::kGradAllGather:
      return AllGatherSlice(op, task, size);
    case OpKind::kExpertGradAllReduce: {
      Bucket& bucket = args_.parameters->experts(op.layer);
      const PlanTask slice = Within(task, bucket.elements);
      const int64_t count = slice.end - slice.begin;
      *size = AllReduceBytes(count, args_.layout.edp);
      if (count == 0) return absl::OkStatus();
      return args_.groups->edp->AllReduce(View(bucket.gradient.as<float>() + slice.begin, {count}),
                                          ReduceOp::kSum);
    }
    case OpKind::kGradNorm:
      LocalNorm();
      return absl::OkStatus();
    case OpKind::kStepReduction:
      return ReduceStep();
    case OpKind::kOptimizer:
      Update();
      return absl::OkStatus();
    default:
      return args_.model->Run(op, task, size);
  }
}

Bucket& TrainProgram::BucketOf(const Op& op) {
  if (op.layer < 0) return args_.parameters->outer();
  return op.heads ? args_.parameters->attention(op.layer) : args_.parameters->dense(op.layer);
}

TrainProgram::NodeReplicas TrainProgram::ReplicasOf(const Op& op) const {
  const int32_t ranks = args_.topology.ranks_per_node;
  const int32_t local = args_.topology.local_of(args_.rank);
  if (!op.heads) return {args_.groups->intra.get(), ranks, local};
  const int32_t mp = args_.layout.mp;
  return {args_.groups->mp_peers.get(), ranks / mp, local / mp};
}

std::span<const int64_t> TrainProgram::ShareRows(const Op& op, const PlanTask& task) {
  const int32_t count = ReplicasOf(op).count;
  for (int32_t i = 0; i < count; ++i)
    share_rows_[static_cast<size_t>(i)] = ShareOf(task, i, count).count();
  return {share_rows_.data(), static_cast<size_t>(count)};
}

TensorView TrainProgram::ReducedShare(const Op& op, const PlanTask& task) {
  const NodeReplicas replicas = ReplicasOf(op);
  const RowRange share = ShareOf(task, replicas.place, replicas.count);
  float* base = BucketOf(op).gradient.as<float>();
  if (replicas.count > 1) {
    const std::vector<Buffer>& reduced = op.heads ? reduced_heads_ : reduced_;
    base = (op.layer < 0 ? reduced.back() : reduced[static_cast<size_t>(op.layer)]).as<float>();
  }
  return View(base + share.begin, {share.count(), 1});
}

absl::Status TrainProgram::ReduceScatterSlice(const Op& op, const PlanTask& task, double* size) {
  const int64_t total = task.end - task.begin;
  const TensorView share = ReducedShare(op, task);
  *size = ReduceScatterBytes(total, share.dim(0));
  return ReplicasOf(op).group->ReduceScatterV(
      {.send = View(BucketOf(op).gradient.as<float>() + task.begin, {total, 1}),
       .recv = share,
       .rows = ShareRows(op, task)});
}

absl::Status TrainProgram::AllReduceSlice(const Op& op, const PlanTask& task, double* size) {
  const TensorView share = ReducedShare(op, task);
  *size = AllReduceBytes(share.elements(), args_.topology.num_nodes());
  return args_.groups->inter->AllReduce(share, ReduceOp::kSum);
}

absl::Status TrainProgram::AllGatherSlice(const Op& op, const PlanTask& task, double* size) {
  const int64_t total = task.end - task.begin;
  const TensorView share = ReducedShare(op, task);
  const NodeReplicas replicas = ReplicasOf(op);
  *size = AllGatherBytes(share.elements(), replicas.count);
  return replicas.group->AllGatherV(
      {.send = share,
       .recv = View(BucketOf(op).gradient.as<float>() + task.begin, {total, 1}),
       .rows = ShareRows(op, task)});
}

void TrainProgram::LocalNorm() {
  // Each canonical element once, with ZeRO-1 by who updates it; otherwise dense gradients are equal
  // on all ranks and counted by rank 0, those of heads by the first ranks that hold them, an expert
  // shard by its first copy.
  const TensorView sum = View(squares_.as<double>(), {1});
  args_.kernels->memory().Zero(sum);
  for (Bucket* bucket : args_.parameters->all()) {
    const UpdateShard shard = UpdateShardOf(args_.layout, args_.rank, *bucket);
    const int32_t holders = bucket->heads ? args_.layout.mp : 1;
    const bool mine = shard.count > 1 || (bucket->expert ? args_.layout.edp_index(args_.rank) == 0
                                                         : args_.rank.value < holders);
    if (mine) {
      args_.kernels->SumOfSquares(
          View(bucket->gradient.as<float>() + shard.elements.begin, {shard.elements.count()}), sum);
    }
  }
}

absl::Status TrainProgram::ReduceStep() {
  const LossSums sums = args_.model->ReadSums();
  args_.kernels->memory().ToHost(View(squares_.as<double>(), {1}), View(&own_[kSumOfSquares], {1}));
  own_[kCrossEntropy] = sums.cross_entropy;
  own_[kBalance] = sums.balance;
  own_[kPreparedEpoch] = static_cast<double>(agreement_.prepared_epoch);
  own_[kStop] = agreement_.stop ? 1 : 0;
  own_[kCheckpoint] = agreement_.checkpoint ? 1 : 0;
  const int64_t world = args_.topology.world_size;
  if (!own_counts_.empty()) {
    args_.model->CopyExpertCounts(own_counts_);
    std::memcpy(own_.data() + kFields, own_counts_.data(), own_counts_.size() * sizeof(int32_t));
  }
  if (world == 1) {
    reduction_ = own_;
  } else {
    const auto width = static_cast<int64_t>(own_.size());
    WEFT_RETURN_IF_ERROR(args_.groups->world->AllGather(View(own_.data(), {width}),
                                                        View(reduction_.data(), {world * width})));
  }
  TakeTotals();
  return absl::OkStatus();
}

void TrainProgram::TakeTotals() {
  const auto world = static_cast<size_t>(args_.topology.world_size);
  totals_ = StepTotals{};
  totals_.agreement.prepared_epoch = std::numeric_limits<int64_t>::max();
  double squares = 0;
  for (size_t r = 0; r < world; ++r) {
    const double* rank = reduction_.data() + r * own_.size();
    if (!own_counts_.empty()) {
      std::memcpy(expert_counts_.data() + r * own_counts_.size(), rank + kFields,
                  own_counts_.size() * sizeof(int32_t));
    }
    squares += rank[kSumOfSquares];
    totals_.cross_entropy += rank[kCrossEntropy];
    totals_.balance += rank[kBalance];
    totals_.agreement.prepared_epoch =
        std::min(totals_.agreement.prepared_epoch, static_cast<int64_t>(rank[kPreparedEpoch]));
    totals_.agreement.stop |= rank[kStop] != 0;
    totals_.agreement.checkpoint |= rank[kCheckpoint] != 0;
  }
  if (!own_counts_.empty()) loads_.Record(expert_counts_);
  totals_.cross_entropy /= static_cast<double>(args_.batch.global_tokens());
  totals_.gradient_norm = std::sqrt(squares);
}

void TrainProgram::Update() {
  const OptimizerOptions& o = args_.optimizer;
  const double norm = totals_.gradient_norm;
  const double scale = o.gradient_clip > 0 && norm > o.gradient_clip ? o.gradient_clip / norm : 1.0;
  for (Bucket* bucket : args_.parameters->all()) {
    const RowRange shard = UpdateShardOf(args_.layout, args_.rank, *bucket).elements;
    const auto rounded = [bucket](int64_t begin, int64_t count) {
      return bucket->dtype == DType::kF32
                 ? TensorView()
                 : Elements(bucket->rounded.view(bucket->dtype, {bucket->elements}), begin, count);
    };
    for (const Parameter& p : bucket->parameters) {
      const int64_t begin = std::max(p.offset, shard.begin);
      const int64_t end = std::min(p.offset + p.shape.elements(), shard.end);
      if (begin >= end) continue;
      const Shape flat = {end - begin};
      args_.kernels->AdamW({.parameter = View(bucket->value.as<float>() + begin, flat),
                            .m = View(bucket->adam_m.as<float>() + begin - shard.begin, flat),
                            .v = View(bucket->adam_v.as<float>() + begin - shard.begin, flat),
                            .gradient = View(bucket->gradient.as<float>() + begin, flat),
                            .rounded = rounded(begin, end - begin),
                            .learning_rate = learning_rate_,
                            .beta1 = o.beta1,
                            .beta2 = o.beta2,
                            .epsilon = o.epsilon,
                            .weight_decay = p.decay ? o.weight_decay : 0.0,
                            .gradient_scale = scale,
                            .step = update_});
    }
  }
}

double LearningRateAt(const OptimizerOptions& options, int64_t step, int64_t steps) {
  if (step < options.warmup_steps)
    return options.learning_rate * static_cast<double>(step + 1) / options.warmup_steps;
  const int64_t span = std::max<int64_t>(1, steps - options.warmup_steps);
  const double progress =
      std::min(1.0, static_cast<double>(step - options.warmup_steps) / static_cast<double>(span));
  return options.min_learning_rate + 0.5 * (options.learning_rate - options.min_learning_rate) *
                                         (1.0 + std::cos(std::numbers::pi * progress));
}

}  // namespace weft
