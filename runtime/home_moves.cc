#include "runtime/home_moves.h"

#include <map>
#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "models/update_shard.h"
#include "runtime/step_program.h"

namespace weft {
namespace {

// The rows of this rank's bucket, an expert each, that leave it and that come: by member, and to or
// from one member by the home that they move to. Sender and receiver agree on that order.
struct Journey {
  std::vector<RowBlock> out, in;            // rows of the bucket to packed rows, and back
  std::vector<int64_t> rows_to, rows_from;  // by member
};

Journey JourneyOf(const ExpertHomes& from, const ExpertHomes& to, int32_t members, int32_t me) {
  const int32_t experts = to.experts();
  const int64_t first = ExpertsOf(experts, members, me).first;
  std::vector<std::vector<int64_t>> sent(static_cast<size_t>(members));
  std::vector<std::vector<int64_t>> received(sent.size());
  for (int32_t home = 0; home < experts; ++home) {
    const int32_t before = from.home_of(to.expert_at(home));
    if (before == home) continue;
    const int32_t source = HomeOf(experts, members, before);
    const int32_t target = HomeOf(experts, members, home);
    if (source == me) sent[static_cast<size_t>(target)].push_back(before - first);
    if (target == me) received[static_cast<size_t>(source)].push_back(home - first);
  }
  Journey journey;
  for (const std::vector<int64_t>& rows : sent) {
    journey.rows_to.push_back(std::ssize(rows));
    for (const int64_t row : rows) journey.out.push_back({row, std::ssize(journey.out), 1});
  }
  for (const std::vector<int64_t>& rows : received) {
    journey.rows_from.push_back(std::ssize(rows));
    for (const int64_t row : rows) journey.in.push_back({std::ssize(journey.in), row, 1});
  }
  return journey;
}

// One operation a layer whose experts move. All of it, exchanges over the EP and the EDP group,
// runs on one stream: between two steps the others are empty.
class MoveProgram final : public StepProgram {
 public:
  MoveProgram(const HomeMoves::Args& args, std::map<int32_t, ExpertHomes> homes)
      : args_(args),
        homes_(std::move(homes)),
        outgoing_(args.kernels->memory()),
        incoming_(args.kernels->memory()),
        whole_(args.kernels->memory()) {}

  StepGraph Graph() const {
    StepGraph graph;
    for (const auto& [layer, homes] : homes_) {
      Op op;
      op.id = OpId{static_cast<int32_t>(graph.ops.size())};
      op.key.kind = OpKind::kExpertWeights;
      op.key.group = GroupKind::kEp;
      op.key.group_size = args_.layout.ep;
      op.stream = StreamKind::kInter;
      op.layer = layer;
      if (!graph.ops.empty()) op.needs = {graph.ops.back().id};
      graph.num_layers = layer + 1;
      graph.ops.push_back(std::move(op));
    }
    return graph;
  }

  absl::Status Prepare(const StepGraph& /*graph*/, const Plan& /*plan*/) override {
    return absl::OkStatus();
  }

  absl::Status Run(const Op& op, const PlanTask& /*task*/, double* size) override {
    *size = 0;
    Bucket& bucket = args_.parameters->experts(op.layer);
    const ExpertHomes& to = homes_.at(op.layer);
    const Layout& layout = args_.layout;
    const Journey journey = JourneyOf(bucket.homes, to, layout.ep, layout.ep_index(args_.rank));
    const UpdateShard shard = UpdateShardOf(layout, args_.rank, bucket);
    for (Buffer* tensor : {&bucket.value, &bucket.adam_m, &bucket.adam_v}) {
      if (bucket.elements == 0) break;  // a shard may have no hidden units
      WEFT_RETURN_IF_ERROR(shard.count > 1 ? MoveShard(bucket, shard, journey, *tensor)
                                           : MoveRows(journey, OneExpertARow(bucket, *tensor)));
    }
    SettleExperts(args_.spec, layout, args_.rank, to, bucket);
    if (bucket.dtype != DType::kF32) {
      const Shape all = {bucket.elements};
      args_.kernels->Convert(bucket.value.view<float>(all), bucket.rounded.view(bucket.dtype, all));
    }
    return absl::OkStatus();
  }

 private:
  TensorView OneExpertARow(const Bucket& bucket, const Buffer& tensor) const {
    const int32_t ep = args_.layout.ep;
    const int64_t held =
        ExpertsOf(bucket.homes.experts(), ep, args_.layout.ep_index(args_.rank)).count;
    return tensor.view<float>({held, bucket.elements / held});
  }

  absl::Status MoveRows(const Journey& journey, const TensorView& rows) {
    const int64_t width = rows.dim(1);
    const TensorView outgoing = outgoing_.Ensure<float>({std::ssize(journey.out), width});
    const TensorView incoming = incoming_.Ensure<float>({std::ssize(journey.in), width});
    args_.kernels->CopyRows(rows, journey.out, outgoing);
    WEFT_RETURN_IF_ERROR(args_.groups->ep->AllToAllV({.send = outgoing,
                                                      .send_rows = journey.rows_to,
                                                      .recv = incoming,
                                                      .recv_rows = journey.rows_from}));
    args_.kernels->CopyRows(incoming, journey.in, rows);
    return absl::OkStatus();
  }

  // `tensor` has this rank's shard alone (moments), or is only there up to date (values).
  absl::Status MoveShard(const Bucket& bucket, const UpdateShard& shard, const Journey& journey,
                         const Buffer& tensor) {
    Memory& memory = args_.kernels->memory();
    const int64_t own = shard.index * shard.size;
    const bool whole = &tensor == &bucket.value;
    const TensorView mine =
        Elements(tensor.view<float>({whole ? shard.padded_elements() : shard.size}),
                 whole ? own : 0, shard.size);
    const TensorView all = whole_.Ensure<float>({shard.padded_elements()});
    WEFT_RETURN_IF_ERROR(args_.groups->edp->AllGather(mine, all));
    WEFT_RETURN_IF_ERROR(MoveRows(journey, OneExpertARow(bucket, whole_)));
    if (whole) {
      memory.Copy(all, tensor.view<float>({shard.padded_elements()}));
    } else {
      memory.Copy(Elements(all, own, shard.size), mine);
    }
    return absl::OkStatus();
  }

  const HomeMoves::Args& args_;
  const std::map<int32_t, ExpertHomes> homes_;  // of the layers whose experts move
  Buffer outgoing_, incoming_, whole_;
};

}  // namespace

absl::Status HomeMoves::MoveTo(const std::vector<HomeChoice>& homes) {
  std::map<int32_t, ExpertHomes> moved;
  for (int32_t layer = 0; layer < args_.parameters->num_layers(); ++layer) {
    const Bucket& bucket = args_.parameters->experts(layer);
    if (!args_.spec.is_moe_layer(layer)) continue;
    ExpertHomes to = HomesOf(homes, args_.spec.moe.num_experts, layer);
    if (to != bucket.homes) moved.emplace(layer, std::move(to));
  }
  if (moved.empty()) return absl::OkStatus();
  MoveProgram program(args_, std::move(moved));
  const auto graph = std::make_shared<const StepGraph>(program.Graph());
  Executor executor(args_.rank, *args_.streams, program, MonotonicClock(), args_.on_failure,
                    args_.groups->rules());
  WEFT_RETURN_IF_ERROR(
      executor.Install(graph, std::make_shared<const Plan>(MakeFixedPlan(*graph, {}))));
  return WithContext(executor.RunStep(0).status(), "experts that change homes");
}

void HomeMoves::Settle(const std::vector<HomeChoice>& homes) {
  for (int32_t layer = 0; layer < args_.parameters->num_layers(); ++layer) {
    if (!args_.spec.is_moe_layer(layer)) continue;
    SettleExperts(args_.spec, args_.layout, args_.rank,
                  HomesOf(homes, args_.spec.moe.num_experts, layer),
                  args_.parameters->experts(layer));
  }
}

std::vector<HomeChoice> HomeMoves::homes() const {
  std::vector<HomeChoice> homes;
  for (int32_t layer = 0; layer < args_.parameters->num_layers(); ++layer) {
    const ExpertHomes& of = args_.parameters->experts(layer).homes;
    if (!of.as_configured()) homes.push_back({layer, of.by_home()});
  }
  return homes;
}

}  // namespace weft
