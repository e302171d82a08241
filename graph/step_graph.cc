#include "graph/step_graph.h"

#include <bit>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fingerprint.h"

namespace weft {
namespace {

class Digest {
 public:
  void Add(uint64_t value) { digest_ = CombineFingerprints(digest_, value); }
  void Add(int64_t value) { Add(static_cast<uint64_t>(value)); }
  void Add(int32_t value) { Add(int64_t{value}); }
  void Add(double value) { Add(std::bit_cast<uint64_t>(value)); }
  uint64_t value() const { return digest_; }

 private:
  uint64_t digest_ = Fingerprint("weft.step_graph.5");
};

std::string NameOf(const StepGraph& graph, const Op& op) {
  const std::string_view kind = Name(op.key.kind);
  std::string name(kind);
  if (op.direction() != Direction::kNone) {
    const std::string_view direction = Name(op.direction());
    absl::StrAppend(&name, ".", absl::string_view(direction.data(), direction.size()));
  }
  if (op.layer >= 0) absl::StrAppend(&name, ".l", op.layer);
  if (graph.micro_batches > 1) absl::StrAppend(&name, ".m", op.micro_batch);
  if (op.heads) absl::StrAppend(&name, ".heads");
  for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    if (algorithm == AllToAllAlgorithm::kDirect || op.algorithms != Only(algorithm)) continue;
    const std::string_view way = Name(algorithm);
    absl::StrAppend(&name, ".", absl::string_view(way.data(), way.size()), op.step);
  }
  return name;
}

absl::Status CheckOp(const StepGraph& graph, const Op& op) {
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("step graph: operation ", op.id.value, " (", NameOf(graph, op), ") ", why));
  };
  if (op.layer < -1 || op.layer >= graph.num_layers) return bad("belongs to no layer of the model");
  if (op.micro_batch < 0 || op.micro_batch >= graph.micro_batches) {
    return bad("belongs to no micro-batch of the step");
  }
  if (!std::isfinite(op.size) || op.size < 0) return bad("has a size that is not a number >= 0");
  if (op.algorithms == 0 || op.algorithms > kAnyAlgorithm) return bad("belongs to no algorithm");
  if (op.algorithms != kAnyAlgorithm && op.layer < 0)
    return bad("belongs to an algorithm but to no layer that could choose it");
  if (op.away && (op.layer < 0 || graph.experts < 1))
    return bad("moves experts but belongs to no layer that has any");
  if (op.shards && (op.layer < 0 || graph.esp < 2))
    return bad("gathers shards of experts but belongs to no layer where experts have shards");
  if (op.key.group_size < 1) return bad("has a group of less than one rank");
  if (op.cut == Cut::kSlices && op.elements < 1) return bad("can be sliced but has no elements");
  if ((op.cut == Cut::kChunks || op.cut == Cut::kEither) &&
      (op.layer < 0 || op.direction() == Direction::kNone)) {
    return bad("is cut into chunks but has no layer and direction to take the degree from");
  }
  int32_t previous = -1;
  for (const OpId need : op.needs) {
    if (need.value <= previous || need.value >= op.id.value) {
      return bad("must list what it needs in ascending order, earlier operations only");
    }
    previous = need.value;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<int32_t> LayersWithChoice(const StepGraph& graph) {
  std::set<int32_t> layers;
  for (const Op& op : graph.ops) {
    if (op.algorithms != kAnyAlgorithm) layers.insert(op.layer);
  }
  return {layers.begin(), layers.end()};
}

std::string OpName(const StepGraph& graph, OpId id) {
  WEFT_CHECK(id.valid() && static_cast<size_t>(id.value) < graph.ops.size(),
             "the graph has this op");
  return NameOf(graph, graph.op(id));
}

uint64_t FingerprintOf(const StepGraph& graph) {
  Digest digest;
  digest.Add(graph.num_layers);
  digest.Add(graph.micro_batches);
  digest.Add(graph.sequences);
  digest.Add(graph.block_pieces);
  digest.Add(graph.experts);
  digest.Add(graph.ep);
  digest.Add(graph.esp);
  for (const Op& op : graph.ops) {
    digest.Add(op.id.value);
    digest.Add(static_cast<int32_t>(op.key.kind));
    digest.Add(static_cast<int32_t>(op.key.direction));
    digest.Add(static_cast<int32_t>(op.key.group));
    digest.Add(op.key.group_size);
    digest.Add(static_cast<int32_t>(op.key.link));
    digest.Add(static_cast<int32_t>(op.key.dtype));
    digest.Add(op.key.shape_class);
    digest.Add(static_cast<int32_t>(op.stream));
    digest.Add(op.layer);
    digest.Add(op.micro_batch);
    digest.Add(static_cast<int32_t>(op.cut));
    digest.Add(op.elements);
    digest.Add(int32_t{op.algorithms});
    digest.Add(op.step);
    digest.Add(int32_t{op.away} | int32_t{op.heads} << 1 | int32_t{op.shards} << 2);
    digest.Add(static_cast<int64_t>(op.needs.size()));
    for (const OpId need : op.needs) digest.Add(need.value);
  }
  return digest.value();
}

absl::Status ValidateStepGraph(const StepGraph& graph) {
  if (graph.num_layers < 0 || graph.micro_batches < 1 || graph.sequences < 1 ||
      graph.block_pieces < 1 || graph.ep < 1 || graph.esp < 1 || graph.experts < 0) {
    return absl::InvalidArgumentError(
        "step graph: needs at least one micro-batch, sequence, piece of a block, EP and ESP "
        "member");
  }
  std::set<std::string> names;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (op.id.value != static_cast<int32_t>(i)) {
      return absl::InvalidArgumentError(
          absl::StrCat("step graph: operation ", i, " carries the id ", op.id.value));
    }
    if (absl::Status status = CheckOp(graph, op); !status.ok()) return status;
    if (!names.insert(NameOf(graph, op)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("step graph: two operations are called ", NameOf(graph, op)));
    }
  }
  return absl::OkStatus();
}

}  // namespace weft
