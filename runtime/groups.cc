#include "runtime/groups.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/moe/ep_shape.h"

namespace weft {

absl::StatusOr<Groups> ConnectGroups(Backend& backend, const Topology& topology,
                                     const Layout& layout, absl::Duration deadline) {
  Groups groups;
  const RankId me{backend.rank()};
  struct Wanted {
    GroupKind kind;
    const char* name;
    std::unique_ptr<Communicator>* into;
  };
  const Wanted wanted[] = {{GroupKind::kWorld, "world", &groups.world},
                           {GroupKind::kWorld, "control", &groups.control},
                           {GroupKind::kIntra, "intra", &groups.intra},
                           {GroupKind::kInter, "inter", &groups.inter},
                           {GroupKind::kEp, "ep", &groups.ep},
                           {GroupKind::kEsp, "esp", &groups.esp},
                           {GroupKind::kEdp, "edp", &groups.edp},
                           {GroupKind::kEpNode, "ep_node", &groups.ep_node},
                           {GroupKind::kEpPeers, "ep_peers", &groups.ep_peers},
                           {GroupKind::kMp, "mp", &groups.mp},
                           {GroupKind::kMpPeers, "mp_peers", &groups.mp_peers}};
  for (const Wanted& w : wanted) {
    const std::vector<RankId> members = GroupOf(topology, layout, w.kind, me);
    // Groups of one kind are equally large everywhere, so every rank skips the same calls.
    if (members.size() == 1 && w.kind != GroupKind::kWorld) continue;
    const bool part_of_ep = w.kind == GroupKind::kEpNode || w.kind == GroupKind::kEpPeers;
    if (part_of_ep && EpShape(topology, layout, me).flat()) continue;
    if (w.kind == GroupKind::kMpPeers && layout.mp == 1) continue;  // the node: intra
    WEFT_ASSIGN_OR_RETURN(*w.into, backend.Connect(w.name, members, deadline));
  }
  const std::vector<RankId> esp = GroupOf(topology, layout, GroupKind::kEsp, me);
  const auto mine = static_cast<size_t>(layout.esp_index(me));
  for (size_t parts = 2; parts < esp.size(); ++parts) {
    if (esp.size() % parts != 0) continue;
    const size_t others = esp.size() / parts;
    std::vector<RankId> near, far;
    for (size_t i = 0; i < parts; ++i) {
      near.push_back(esp[mine / parts * parts + i]);
      far.push_back(esp[mine % others + i * others]);
    }
    const auto size = static_cast<int32_t>(parts);
    WEFT_ASSIGN_OR_RETURN(groups.esp_near[size],
                          backend.Connect(absl::StrCat("esp_near", parts), near, deadline));
    WEFT_ASSIGN_OR_RETURN(groups.esp_far[size],
                          backend.Connect(absl::StrCat("esp_far", parts), far, deadline));
  }
  return groups;
}

std::vector<const Communicator*> Groups::all() const {
  std::vector<const Communicator*> found;
  const auto add = [&found](const std::unique_ptr<Communicator>& group) {
    if (group != nullptr) found.push_back(group.get());
  };
  for (const auto* group :
       {&world, &control, &intra, &inter, &ep, &esp, &edp, &ep_node, &ep_peers, &mp, &mp_peers}) {
    add(*group);
  }
  for (const auto& [size, group] : esp_near) add(group);
  for (const auto& [size, group] : esp_far) add(group);
  return found;
}

CollectiveRules Groups::rules() const {
  if (world->traits().completion == Completion::kOnReturn) return {};
  return {.in_plan_order = true, .health = [this] { return Health(); }};
}

absl::Status Groups::Health() const {
  absl::Status worst;
  for (const Communicator* group : all()) {
    const absl::Status health = group->Health();
    if (worst.ok() || (absl::IsAborted(worst) && !health.ok())) worst = health;
    if (!worst.ok() && !absl::IsAborted(worst)) break;
  }
  return worst;
}

}  // namespace weft
