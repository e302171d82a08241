#include "runtime/checkpointing.h"

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "models/update_shard.h"

namespace weft {
namespace {

std::string LayoutText(const WorkerOptions& o) {
  std::string text = absl::StrCat("edp=", o.layout.edp, " ep=", o.layout.ep, " esp=", o.layout.esp,
                                  " ranks_per_node=", o.topology.ranks_per_node);
  if (o.layout.mp > 1) absl::StrAppend(&text, " mp=", o.layout.mp);
  if (o.layout.zero_stage > 0) absl::StrAppend(&text, " zero_stage=", o.layout.zero_stage);
  return text;
}

constexpr char kHomes[] = "expert_homes";  // in the metadata, where somebody lives elsewhere

// "0: 3 1 2 0; 2: 1 0 2 3": by layer, who lives at every home.
std::string HomesText(const std::vector<HomeChoice>& homes) {
  return absl::StrJoin(homes, "; ", [](std::string* out, const HomeChoice& choice) {
    absl::StrAppend(out, choice.layer, ": ", absl::StrJoin(choice.experts, " "));
  });
}

absl::StatusOr<std::vector<HomeChoice>> HomesIn(const std::map<std::string, std::string>& metadata,
                                                const StepGraph& graph) {
  std::vector<HomeChoice> homes;
  const auto text = metadata.find(kHomes);
  if (text == metadata.end()) return homes;
  bool read = true;
  for (const absl::string_view layer : absl::StrSplit(text->second, "; ")) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(layer, ": ");
    HomeChoice& choice = homes.emplace_back();
    read = read && absl::SimpleAtoi(parts.first, &choice.layer);
    for (const absl::string_view expert : absl::StrSplit(parts.second, ' '))
      read = read && absl::SimpleAtoi(expert, &choice.experts.emplace_back());
  }
  absl::Status valid = absl::InvalidArgumentError("not a list of experts by layer");
  if (read) valid = CheckPlacements(graph, {{}, {}, homes});
  if (valid.ok()) return homes;
  return absl::FailedPreconditionError(absl::StrCat("metadata '", kHomes, "': ", valid.message()));
}

// Every tensor of a checkpoint, as name and view of live memory, where experts live like this.
std::vector<NamedTarget> TensorsOf(Worker& worker, const std::vector<HomeChoice>& homes) {
  std::vector<NamedTarget> tensors;
  const ModelSpec& spec = worker.options().model;
  const Layout& layout = worker.options().layout;
  for (Bucket* bucket : worker.parameters().all()) {
    const UpdateShard shard = UpdateShardOf(layout, worker.rank(), *bucket);
    if (shard.count > 1) {
      // What this rank updates: other shards may be a step old, and are gathered before their use.
      const std::string name = absl::StrCat(
          "shard.", bucket->layer < 0 ? "outer" : absl::StrCat("layers.", bucket->layer),
          bucket->heads    ? ".heads"
          : bucket->expert ? ".experts"
                           : "");
      const Shape shape = {shard.elements.count()};
      tensors.push_back({name, View(bucket->value.as<float>() + shard.elements.begin, shape)});
      tensors.push_back({"adam_m." + name, View(bucket->adam_m.as<float>(), shape)});
      tensors.push_back({"adam_v." + name, View(bucket->adam_v.as<float>(), shape)});
      continue;
    }
    Bucket named;  // as the bucket, with the names of who lives there
    named.layer = bucket->layer;
    named.parameters = bucket->parameters;
    if (bucket->expert) {
      SettleExperts(spec, layout, worker.rank(),
                    HomesOf(homes, spec.moe.num_experts, bucket->layer), named);
    }
    for (const Parameter& p : named.parameters) {
      tensors.push_back({p.name, bucket->Value(p)});
      tensors.push_back(
          {absl::StrCat("adam_m.", p.name), View(bucket->adam_m.as<float>() + p.offset, p.shape)});
      tensors.push_back(
          {absl::StrCat("adam_v.", p.name), View(bucket->adam_v.as<float>() + p.offset, p.shape)});
    }
  }
  return tensors;
}

// The same on the host, where files are written from and read into: the tensors themselves, or
// copies when they are a device's.
class OnHost {
 public:
  OnHost(Memory& memory, std::vector<NamedTarget> tensors)
      : memory_(memory), tensors_(std::move(tensors)), on_host_(tensors_) {
    if (&memory_ == &HostMemory()) return;
    for (NamedTarget& tensor : on_host_) {
      Buffer& copy = copies_.emplace_back();
      if (tensor.view.bytes() > 0) copy.Reserve(tensor.view.bytes());
      tensor.view.data = copy.data();
    }
  }

  void Fetch() {
    for (size_t i = 0; i < copies_.size(); ++i) memory_.ToHost(tensors_[i].view, on_host_[i].view);
  }
  void Return() {
    for (size_t i = 0; i < copies_.size(); ++i)
      memory_.FromHost(on_host_[i].view, tensors_[i].view);
  }
  const std::vector<NamedTarget>& tensors() const { return on_host_; }

 private:
  Memory& memory_;
  const std::vector<NamedTarget> tensors_;
  std::vector<NamedTarget> on_host_;
  std::deque<Buffer> copies_;
};

}  // namespace

absl::Status SaveCheckpoint(const CheckpointStore& store, Worker& worker,
                            const CheckpointPosition& position) {
  SaveArgs args{.world = *worker.groups().control,
                .step = position.steps_done,
                .layout = LayoutText(worker.options()),
                .tensors = {},
                .metadata = {{"config_fingerprint", position.config_fingerprint}}};
  args.metadata[std::string(kProductsInCheckpoints)] = Name(worker.kernels().grouped_method());
  const std::vector<HomeChoice> homes = worker.homes();
  if (!homes.empty()) args.metadata[kHomes] = HomesText(homes);
  OnHost tensors(worker.kernels().memory(), TensorsOf(worker, homes));
  tensors.Fetch();
  for (const NamedTarget& t : tensors.tensors()) args.tensors.push_back({t.name, t.view});
  return store.Save(args);
}

absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const CheckpointStore& store, Worker& worker) {
  std::vector<HomeChoice> homes;
  std::optional<OnHost> tensors;
  const auto targets = [&](const std::map<std::string, std::string>& metadata)
      -> absl::StatusOr<std::vector<NamedTarget>> {
    WEFT_ASSIGN_OR_RETURN(homes, HomesIn(metadata, *worker.graph(StepKind::kTraining)));
    tensors.emplace(worker.kernels().memory(), TensorsOf(worker, homes));
    return tensors->tensors();
  };
  auto loaded = store.Load({.world = *worker.groups().control,
                            .layout = LayoutText(worker.options()),
                            .tensors = targets});
  if (loaded.ok()) {
    tensors->Return();
    worker.Settle(homes);
    worker.parameters().Round(worker.kernels());
  }
  return loaded;
}

}  // namespace weft
