#include "runtime/groups.h"

#include <string>

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
  return groups;
}

}  // namespace weft
