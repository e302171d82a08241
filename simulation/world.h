#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "graph/topology.h"
#include "scheduler/schedule.h"

// The event simulator of a whole world: every rank issues the same tasks in the same order on the
// same streams, each task with a duration of its own on every rank. scheduler/schedule.h simulates
// one rank that stands for all; where all ranks are alike, both say the same to the last bit.
//
// A task without a group is a rank's own business. A collective starts on a group when its last
// member has issued it (its stream is free, its needs have ended), takes what the busiest member
// takes, and ends on all of them together. Contention stretches a task while other streams of its
// rank are busy; a collective runs at the speed of its slowest member. A stream that waits for
// later members is not free, but it is in nobody's way.

namespace weft {

// The ranks of a world in groups, every rank in one.
struct RankGroups {
  std::vector<int32_t> group_of;              // [rank]
  std::vector<std::vector<int32_t>> members;  // [group], ascending

  int32_t size() const { return static_cast<int32_t>(members.size()); }
};

// REQUIRES: a valid layout.
RankGroups GroupsOf(const Topology& topology, const Layout& layout, GroupKind kind);

struct World {
  const Schedule& schedule;  // of every rank; its seconds are not read
  int32_t ranks = 1;
  std::vector<const RankGroups*> groups;  // [task]; null: no collective
  // Fills in a task's seconds alone, by rank. Asked once a task.
  absl::FunctionRef<void(int32_t task, std::span<double> seconds)> seconds;
};

// What became of a task, by rank.
struct WorldTask {
  std::vector<double> alone;   // seconds; of a collective: what this member would take
  std::vector<double> issued;  // it could have begun
  std::vector<double> begin;   // of a collective: when the last member had issued it
  std::vector<double> end;
};

// Told once of every task, when it has ended on all ranks.
using WorldObserver = absl::FunctionRef<void(int32_t task, const WorldTask& times)>;

// Runs the world; returns the makespan. Memory for the tasks that have not ended on all ranks or
// that others still need, not for all of them. REQUIRES: needs are earlier tasks (so nothing can
// wait in a circle: the first task in the order of issue that has not ended can always go on).
double RunWorld(const World& world, WorldObserver observe);

}  // namespace weft
