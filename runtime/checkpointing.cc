#include "runtime/checkpointing.h"

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

std::string LayoutText(const WorkerOptions& o) {
  std::string text = absl::StrCat("edp=", o.layout.edp, " ep=", o.layout.ep, " esp=", o.layout.esp,
                                  " ranks_per_node=", o.topology.ranks_per_node);
  if (o.layout.mp > 1) absl::StrAppend(&text, " mp=", o.layout.mp);
  return text;
}

// Every tensor of a checkpoint, as name and view of live memory.
std::vector<NamedTarget> TensorsOf(Parameters& parameters) {
  std::vector<NamedTarget> tensors;
  for (Bucket* bucket : parameters.all()) {
    for (const Parameter& p : bucket->parameters) {
      tensors.push_back({p.name, bucket->Value(p)});
      tensors.push_back(
          {absl::StrCat("adam_m.", p.name), View(bucket->adam_m.as<float>() + p.offset, p.shape)});
      tensors.push_back(
          {absl::StrCat("adam_v.", p.name), View(bucket->adam_v.as<float>() + p.offset, p.shape)});
    }
  }
  return tensors;
}

}  // namespace

absl::Status SaveCheckpoint(const CheckpointStore& store, Worker& worker,
                            const CheckpointPosition& position) {
  SaveArgs args{.world = *worker.groups().control,
                .step = position.steps_done,
                .layout = LayoutText(worker.options()),
                .tensors = {},
                .metadata = {{"config_fingerprint", position.config_fingerprint}}};
  for (const NamedTarget& t : TensorsOf(worker.parameters()))
    args.tensors.push_back({t.name, t.view});
  return store.Save(args);
}

absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const CheckpointStore& store, Worker& worker) {
  return store.Load({.world = *worker.groups().control,
                     .layout = LayoutText(worker.options()),
                     .tensors = TensorsOf(worker.parameters())});
}

}  // namespace weft
