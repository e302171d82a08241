#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "comm/backend.h"
#include "graph/topology.h"
#include "runtime/executor.h"

namespace weft {

// The communicators of one rank. Each is used by one stream only; `control` by the host thread
// between steps. A group of one rank has no communicator (null), except world and control.
struct Groups {
  std::unique_ptr<Communicator> world, control, intra, inter, ep, esp, edp, ep_node, ep_peers, mp,
      mp_peers;
  std::map<int32_t, std::unique_ptr<Communicator>> esp_near, esp_far;  // ModelContext's

  std::vector<const Communicator*> all() const;
  // What a step's collectives over them ask of its executor (runtime/executor.h). They outlive it.
  CollectiveRules rules() const;
  // OK when all are. Otherwise the error that the others were aborted for, if it is one of theirs.
  // Thread-safe.
  absl::Status Health() const;
};

// COLLECTIVE over the world.
absl::StatusOr<Groups> ConnectGroups(Backend& backend, const Topology& topology,
                                     const Layout& layout, absl::Duration deadline);

}  // namespace weft
