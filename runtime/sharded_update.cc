#include "runtime/sharded_update.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {
namespace {

int64_t Count(const PlanTask& task) { return task.end - task.begin; }

}  // namespace

ShardedUpdate::ShardedUpdate(const Topology& topology, const Layout& layout, RankId rank,
                             Groups& groups, Parameters& parameters, Memory& memory)
    : memory_(memory), inter_(groups.inter.get()), node_(topology.node_of(rank)) {
  const auto share = [&](Bucket& bucket) {
    Shared s;
    s.bucket = &bucket;
    s.shard = UpdateShardOf(layout, rank, bucket);
    s.inside = (bucket.expert ? groups.edp : bucket.heads ? groups.mp_peers : groups.intra).get();
    s.local = bucket.expert ? layout.edp : topology.ranks_per_node / (bucket.heads ? layout.mp : 1);
    s.nodes = bucket.expert ? 1 : topology.num_nodes();
    s.by_local = Buffer(memory);
    s.by_node = Buffer(memory);
    if (s.local > 1) s.by_local.Ensure<float>({s.shard.padded_elements()});
    if (s.nodes > 1) s.by_node.Ensure<float>({s.nodes * s.shard.size});
    return s;
  };
  for (int32_t layer = 0; layer < parameters.num_layers(); ++layer) {
    dense_.push_back(share(parameters.dense(layer)));
    if (layout.mp > 1) heads_.push_back(share(parameters.attention(layer)));
    if (layout.edp > 1) experts_.push_back(share(parameters.experts(layer)));
  }
  dense_.push_back(share(parameters.outer()));
}

ShardedUpdate::Shared& ShardedUpdate::Of(const Op& op) {
  if (op.layer < 0) return dense_.back();
  const bool experts = op.key.group == GroupKind::kEdp;
  return (experts ? experts_ : op.heads ? heads_ : dense_)[static_cast<size_t>(op.layer)];
}

TensorView ShardedUpdate::Packed(const Buffer& buffer, DType dtype, int32_t shards,
                                 const PlanTask& task) {
  const int64_t count = shards * Count(task);
  const int64_t begin = shards * task.begin;
  return Rows(buffer.view(dtype, {begin + count, 1}), begin, count);
}

TensorView ShardedUpdate::Slice(const Shared& s, const TensorView& all, int32_t shard,
                                const PlanTask& task) {
  return Rows(all, shard * s.shard.size + task.begin, Count(task));
}

TensorView ShardedUpdate::Gradients(const Shared& s) {
  return s.bucket->gradient.view<float>({s.shard.padded_elements(), 1});
}

TensorView ShardedUpdate::Weights(const Shared& s) {
  return s.bucket->weights().view(s.bucket->dtype, {s.shard.padded_elements(), 1});
}

absl::Status ShardedUpdate::Run(const Op& op, const PlanTask& whole, double* size) {
  const PlanTask task = Within(whole, Of(op).shard.size);
  *size = 0;
  if (task.begin == task.end) return absl::OkStatus();
  switch (op.key.kind) {
    case OpKind::kGradReduceScatter:
    case OpKind::kExpertGradReduceScatter:
      return ReduceInside(Of(op), task, size);
    case OpKind::kGradNodeReduceScatter:
      return ReduceBetween(Of(op), task, size);
    case OpKind::kParamNodeAllGather:
      return GatherBetween(Of(op), task, size);
    case OpKind::kParamAllGather:
    case OpKind::kExpertParamAllGather:
      return GatherInside(Of(op), task, size);
    default:
      return absl::InternalError(
          absl::StrCat("not an exchange of shards: ", std::string(Name(op.key.kind))));
  }
}

absl::Status ShardedUpdate::ReduceInside(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const TensorView gradients = Gradients(s);
  const TensorView all = Packed(s.by_local, DType::kF32, s.shard.count, task);
  int64_t to = 0;
  for (int32_t place = 0; place < s.local; ++place) {
    for (int32_t node = 0; node < s.nodes; ++node, to += count)
      memory_.Copy(Slice(s, gradients, ShardOf(s, place, node), task), Rows(all, to, count));
  }
  const int64_t own = s.nodes * count;
  const TensorView into = s.nodes > 1 ? Packed(s.by_node, DType::kF32, s.nodes, task)
                                      : Slice(s, gradients, s.shard.index, task);
  *size = ReduceScatterBytes(all.elements(), own);
  s.local_rows.assign(static_cast<size_t>(s.local), own);
  return s.inside->ReduceScatterV({.send = all, .recv = into, .rows = s.local_rows});
}

absl::Status ShardedUpdate::ReduceBetween(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const TensorView gradients = Gradients(s);
  const TensorView all = Packed(s.by_node, DType::kF32, s.nodes, task);
  if (s.local == 1) {
    for (int32_t node = 0; node < s.nodes; ++node)
      memory_.Copy(Slice(s, gradients, ShardOf(s, 0, node), task), Rows(all, node * count, count));
  }
  *size = ReduceScatterBytes(all.elements(), count);
  s.node_rows.assign(static_cast<size_t>(s.nodes), count);
  return inter_->ReduceScatterV(
      {.send = all, .recv = Slice(s, gradients, s.shard.index, task), .rows = s.node_rows});
}

absl::Status ShardedUpdate::GatherBetween(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const TensorView weights = Weights(s);
  const TensorView all = Packed(s.by_node, s.bucket->dtype, s.nodes, task);
  *size = AllGatherBytes(count, s.nodes, s.bucket->dtype);
  WEFT_RETURN_IF_ERROR(inter_->AllGather(Slice(s, weights, s.shard.index, task), all));
  if (s.local > 1) return absl::OkStatus();
  for (int32_t node = 0; node < s.nodes; ++node) {
    if (node == node_) continue;
    memory_.Copy(Rows(all, node * count, count), Slice(s, weights, ShardOf(s, 0, node), task));
  }
  return absl::OkStatus();
}

absl::Status ShardedUpdate::GatherInside(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const int64_t own = s.nodes * count;
  const TensorView weights = Weights(s);
  const TensorView all = Packed(s.by_local, s.bucket->dtype, s.shard.count, task);
  const TensorView mine = s.nodes > 1 ? Packed(s.by_node, s.bucket->dtype, s.nodes, task)
                                      : Slice(s, weights, s.shard.index, task);
  *size = AllGatherBytes(own, s.local, s.bucket->dtype);
  WEFT_RETURN_IF_ERROR(s.inside->AllGather(mine, all));
  int64_t from = 0;
  for (int32_t place = 0; place < s.local; ++place) {
    for (int32_t node = 0; node < s.nodes; ++node, from += count) {
      const int32_t shard = ShardOf(s, place, node);
      if (shard == s.shard.index) continue;
      memory_.Copy(Rows(all, from, count), Slice(s, weights, shard, task));
    }
  }
  return absl::OkStatus();
}

}  // namespace weft
