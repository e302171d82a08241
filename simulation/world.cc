#include "simulation/world.h"

#include <algorithm>
#include <array>

#include "simulation/contended_world.h"

namespace weft {
namespace {

// The last task that needs each one; itself where none does.
std::vector<int32_t> LastUses(const Schedule& schedule) {
  std::vector<int32_t> last(static_cast<size_t>(schedule.size()));
  for (int32_t task = 0; task < schedule.size(); ++task) {
    last[static_cast<size_t>(task)] = task;
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      last[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])] = task;
    }
  }
  return last;
}

void StartTogether(const RankGroups& groups, WorldTask& times) {
  for (const std::vector<int32_t>& members : groups.members) {
    double start = 0, seconds = 0;
    for (const int32_t member : members) {
      start = std::max(start, times.issued[static_cast<size_t>(member)]);
      seconds = std::max(seconds, times.alone[static_cast<size_t>(member)]);
    }
    for (const int32_t member : members) {
      times.begin[static_cast<size_t>(member)] = start;
      times.end[static_cast<size_t>(member)] = start + seconds;
    }
  }
}

// In the order of issue, every task on all ranks: what it waits for is known by then.
double RunAlone(const World& world, WorldObserver observe) {
  const Schedule& schedule = world.schedule;
  const auto ranks = static_cast<size_t>(world.ranks);
  const std::vector<int32_t> last_use = LastUses(schedule);
  std::vector<std::vector<int32_t>> expire(static_cast<size_t>(schedule.size()));
  for (int32_t task = 0; task < schedule.size(); ++task) {
    expire[static_cast<size_t>(last_use[static_cast<size_t>(task)])].push_back(task);
  }
  std::vector<std::vector<double>> end(static_cast<size_t>(schedule.size()));
  std::vector<std::vector<double>> spare;
  std::array<std::vector<double>, kNumStreams> free;
  free.fill(std::vector<double>(ranks, 0.0));
  WorldTask times;
  times.alone.resize(ranks);
  times.begin.resize(ranks);
  double makespan = 0;
  for (int32_t task = 0; task < schedule.size(); ++task) {
    const auto t = static_cast<size_t>(task);
    std::vector<double>& stream_free = free[static_cast<size_t>(schedule.stream(task))];
    world.seconds(task, times.alone);
    times.issued = stream_free;
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      const std::vector<double>& need =
          end[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])];
      for (size_t r = 0; r < ranks; ++r) times.issued[r] = std::max(times.issued[r], need[r]);
    }
    if (!spare.empty()) {
      times.end = std::move(spare.back());
      spare.pop_back();
    }
    times.end.resize(ranks);
    if (world.groups[t] != nullptr) {
      StartTogether(*world.groups[t], times);
    } else {
      times.begin = times.issued;
      for (size_t r = 0; r < ranks; ++r) times.end[r] = times.begin[r] + times.alone[r];
    }
    stream_free = times.end;
    for (const double ended : times.end) makespan = std::max(makespan, ended);
    observe(task, times);
    end[t] = std::move(times.end);
    for (const int32_t done : expire[t]) spare.push_back(std::move(end[static_cast<size_t>(done)]));
  }
  return makespan;
}

}  // namespace

RankGroups GroupsOf(const Topology& topology, const Layout& layout, GroupKind kind) {
  RankGroups groups;
  groups.group_of.assign(static_cast<size_t>(topology.world_size), -1);
  for (int32_t rank = 0; rank < topology.world_size; ++rank) {
    if (groups.group_of[static_cast<size_t>(rank)] >= 0) continue;
    std::vector<int32_t>& members = groups.members.emplace_back();
    for (const RankId member : GroupOf(topology, layout, kind, RankId{rank})) {
      members.push_back(member.value);
      groups.group_of[static_cast<size_t>(member.value)] = groups.size() - 1;
    }
  }
  return groups;
}

double RunWorld(const World& world, WorldObserver observe) {
  if (world.schedule.contention().none()) return RunAlone(world, observe);
  return RunContendedWorld(world, observe);
}

}  // namespace weft
