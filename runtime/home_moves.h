#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "graph/plan.h"
#include "models/parameters.h"
#include "runtime/executor.h"
#include "runtime/groups.h"

namespace weft {

// Lets experts change homes between two steps (graph/expert_homes.h): master weights and AdamW's
// moments travel over the EP group, each element once, one tensor of one layer after another, in
// exact sizes; with ZeRO-1 every rank first has the shards of its copies, and keeps its own. What
// products read follows. No value changes.
class HomeMoves {
 public:
  struct Args {
    ModelSpec spec;
    Layout layout;
    RankId rank;
    Groups* groups = nullptr;
    Parameters* parameters = nullptr;
    Kernels* kernels = nullptr;
    StreamSet* streams = nullptr;
    std::function<void(const absl::Status&)> on_failure;  // runtime/executor.h
  };
  explicit HomeMoves(const Args& args) : args_(args) {}

  // COLLECTIVE over the world, when anybody moves; otherwise nothing happens. Afterwards experts of
  // every layer live where `homes` says, or where the configuration does. After an error the
  // parameters are unusable. REQUIRES: CheckPlacements; homes equal on all ranks.
  absl::Status MoveTo(const std::vector<HomeChoice>& homes);

  // Says that they do, where their weights and optimizer state came by another way: nothing moves.
  // REQUIRES: as above.
  void Settle(const std::vector<HomeChoice>& homes);

  // Where experts live now, as a plan says it.
  std::vector<HomeChoice> homes() const;

 private:
  const Args args_;
};

}  // namespace weft
