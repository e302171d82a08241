#include "runtime/comm_calibration.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {
namespace {

constexpr int kSizes = 7;
// Chunks and slices are up to this many times smaller than the whole operation.
constexpr double kSmallestShare = 1.0 / 24.0;
// Skewed routing sends more than the expected load.
constexpr double kLargestShare = 1.5;

struct Range {
  StreamKind stream = StreamKind::kInter;
  double least = 0;
  double most = 0;
};

// What is sent: bytes (u8) as fp32, sums as they are made.
DType TypeOf(const CostKey& key) { return key.dtype == DType::kU8 ? DType::kF32 : key.dtype; }

}  // namespace

StepGraph BuildCommCalibration(const StepGraph& training) {
  std::map<CostKey, Range> ranges;
  for (const Op& op : training.ops) {
    if (op.key.group == GroupKind::kNone || op.size <= 0) continue;
    Range& range = ranges[CalibrationKey(op.key)];
    const double least = op.cut == Cut::kWhole ? op.size : op.size * kSmallestShare;
    range.stream = op.stream;
    range.least = range.least == 0 ? least : std::min(range.least, least);
    range.most = std::max(range.most, op.size * kLargestShare);
  }
  StepGraph graph;
  graph.num_layers = static_cast<int32_t>(ranges.size()) * kSizes;
  for (const auto& [key, range] : ranges) {
    for (int i = 0; i < kSizes; ++i) {
      Op op;
      op.id = OpId{static_cast<int32_t>(graph.ops.size())};
      op.key = key;
      op.stream = range.stream;
      op.layer = op.id.value;  // names must be unique
      const double share = static_cast<double>(i) / (kSizes - 1);
      op.size = range.least * std::pow(range.most / range.least, share);
      if (!graph.ops.empty()) op.needs = {graph.ops.back().id};
      graph.ops.push_back(std::move(op));
    }
  }
  return graph;
}

Communicator* CommCalibration::CommunicatorOf(GroupKind group) const {
  switch (group) {
    case GroupKind::kWorld:
      return groups_.world.get();
    case GroupKind::kIntra:
      return groups_.intra.get();
    case GroupKind::kInter:
      return groups_.inter.get();
    case GroupKind::kEp:
    case GroupKind::kEpAcross:
      return groups_.ep.get();
    case GroupKind::kEpNode:
      return groups_.ep_node.get();
    case GroupKind::kEpPeers:
      return groups_.ep_peers.get();
    case GroupKind::kEsp:
      return groups_.esp.get();
    case GroupKind::kEdp:
      return groups_.edp.get();
    case GroupKind::kMp:
      return groups_.mp.get();
    case GroupKind::kMpPeers:
      return groups_.mp_peers.get();
    case GroupKind::kNone:
      break;
  }
  return nullptr;
}

int32_t CommCalibration::PeersOf(const CostKey& key) const {
  return key.group == GroupKind::kEpAcross ? ep_.size() - ep_.members_per_node : key.group_size - 1;
}

// Elements per member that make a collective of the operation's bytes sent (models/op_sizes.h,
// inverted).
int64_t CommCalibration::ElementsPerMember(const Op& op) const {
  const auto bytes = static_cast<double>(SizeOf(TypeOf(op.key)));
  const double each = op.key.kind == OpKind::kGradAllReduce
                          ? op.size / (2 * bytes) * op.key.group_size / PeersOf(op.key)
                          : op.size / bytes / PeersOf(op.key);
  return std::max<int64_t>(1, static_cast<int64_t>(each));
}

absl::Status CommCalibration::Prepare(const StepGraph& graph, const Plan& /*plan*/) {
  for (const Op& op : graph.ops) {
    const int64_t each = ElementsPerMember(op);
    Scratch& scratch = scratch_[static_cast<size_t>(op.stream)];
    scratch.send.Ensure(TypeOf(op.key), {each * op.key.group_size});
    scratch.receive.Ensure(TypeOf(op.key), {each * op.key.group_size});
    scratch.rows.resize(std::max(scratch.rows.size(), static_cast<size_t>(op.key.group_size)));
  }
  return absl::OkStatus();
}

absl::Status CommCalibration::Run(const Op& op, const PlanTask& /*task*/, double* size) {
  Communicator* comm = CommunicatorOf(op.key.group);
  const int32_t members = op.key.group_size;
  const int64_t each = ElementsPerMember(op);
  Scratch& scratch = scratch_[static_cast<size_t>(op.stream)];
  std::fill_n(scratch.rows.begin(), members, each);
  if (op.key.group == GroupKind::kEpAcross) {
    std::fill_n(scratch.rows.begin() + ep_.member(ep_.node(), 0), ep_.members_per_node, 0);
  }
  const std::span<const int64_t> rows(scratch.rows.data(), static_cast<size_t>(members));
  const DType dtype = TypeOf(op.key);
  const TensorView all = scratch.receive.view(dtype, {each * members, 1});
  const TensorView sent = scratch.send.view(dtype, {each * members, 1});
  switch (op.key.kind) {
    case OpKind::kCountsAllToAll:
    case OpKind::kDispatch: {
      *size = AllToAllBytes(each * PeersOf(op.key), dtype);
      const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
      return comm->AllToAllV({.send = Rows(sent, 0, total),
                              .send_rows = rows,
                              .recv = Rows(all, 0, total),
                              .recv_rows = rows});
    }
    case OpKind::kCountsAllGather:
    case OpKind::kEspAllGather:
      *size = AllGatherBytes(each, members, dtype);
      return comm->AllGatherV({.send = Rows(sent, 0, each), .recv = all, .rows = rows});
    case OpKind::kEspReduceScatter:
      *size = ReduceScatterBytes(each * members, each, dtype);
      return comm->ReduceScatterV({.send = sent, .recv = Rows(all, 0, each), .rows = rows});
    case OpKind::kGradAllReduce:
      *size = AllReduceBytes(each, members, dtype);
      return comm->AllReduce(Elements(sent, 0, each), ReduceOp::kSum);
    default:
      return absl::InternalError(absl::StrCat("no calibration for ", ToString(op.key)));
  }
}

}  // namespace weft
