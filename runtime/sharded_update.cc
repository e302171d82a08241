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

TensorView ShardedUpdate::Packed(const Buffer& buffer, int32_t shards, const PlanTask& task) {
  return View(buffer.as<float>() + shards * task.begin, {shards * Count(task), 1});
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
  const TensorView all = Packed(s.by_local, s.shard.count, task);
  float* to = all.as<float>();
  for (int32_t place = 0; place < s.local; ++place) {
    for (int32_t node = 0; node < s.nodes; ++node, to += count)
      Copy(ShardOf(s, s.bucket->gradient, place, node) + task.begin, to, count);
  }
  const int64_t own = s.nodes * count;
  float* const into =
      s.nodes > 1 ? Packed(s.by_node, s.nodes, task).as<float>()
                  : s.bucket->gradient.as<float>() + s.shard.index * s.shard.size + task.begin;
  *size = ReduceScatterBytes(all.elements(), own);
  s.local_rows.assign(static_cast<size_t>(s.local), own);
  return s.inside->ReduceScatterV(
      {.send = all, .recv = View(into, {own, 1}), .rows = s.local_rows});
}

absl::Status ShardedUpdate::ReduceBetween(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const TensorView all = Packed(s.by_node, s.nodes, task);
  if (s.local == 1) {
    for (int32_t node = 0; node < s.nodes; ++node)
      Copy(ShardOf(s, s.bucket->gradient, 0, node) + task.begin, all.as<float>() + node * count,
           count);
  }
  float* const into = s.bucket->gradient.as<float>() + s.shard.index * s.shard.size + task.begin;
  *size = ReduceScatterBytes(all.elements(), count);
  s.node_rows.assign(static_cast<size_t>(s.nodes), count);
  return inter_->ReduceScatterV({.send = all, .recv = View(into, {count, 1}), .rows = s.node_rows});
}

absl::Status ShardedUpdate::GatherBetween(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const TensorView all = Packed(s.by_node, s.nodes, task);
  const float* const own = s.bucket->value.as<float>() + s.shard.index * s.shard.size + task.begin;
  *size = AllGatherBytes(count, s.nodes);
  WEFT_RETURN_IF_ERROR(inter_->AllGather(View(own, {count, 1}), all));
  if (s.local > 1) return absl::OkStatus();
  for (int32_t node = 0; node < s.nodes; ++node) {
    if (node == node_) continue;
    Copy(all.as<float>() + node * count, ShardOf(s, s.bucket->value, 0, node) + task.begin, count);
  }
  return absl::OkStatus();
}

absl::Status ShardedUpdate::GatherInside(Shared& s, const PlanTask& task, double* size) {
  const int64_t count = Count(task);
  const int64_t own = s.nodes * count;
  const TensorView all = Packed(s.by_local, s.shard.count, task);
  const float* const mine =
      s.nodes > 1 ? Packed(s.by_node, s.nodes, task).as<float>()
                  : s.bucket->value.as<float>() + s.shard.index * s.shard.size + task.begin;
  *size = AllGatherBytes(own, s.local);
  WEFT_RETURN_IF_ERROR(s.inside->AllGather(View(mine, {own, 1}), all));
  const float* from = all.as<float>();
  for (int32_t place = 0; place < s.local; ++place) {
    for (int32_t node = 0; node < s.nodes; ++node, from += count) {
      float* const to = ShardOf(s, s.bucket->value, place, node) + task.begin;
      const bool is_mine =
          to == s.bucket->value.as<float>() + s.shard.index * s.shard.size + task.begin;
      if (!is_mine) Copy(from, to, count);
    }
  }
  return absl::OkStatus();
}

}  // namespace weft
