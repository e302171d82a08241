#include "simulation/world_step.h"

#include <algorithm>
#include <map>
#include <optional>

#include "models/moe/routed_sizes.h"
#include "simulation/world.h"

namespace weft {
namespace {

class WorldSimulation {
 public:
  explicit WorldSimulation(const WorldStepArgs& args)
      : args_(args), ranks_(static_cast<size_t>(args.topology.world_size)), sizes_(ranks_) {
    const std::vector<std::vector<int32_t>> needs = TaskNeeds(args.graph, args.plan);
    schedule_ = Schedule(args.costs.contention());
    for (size_t i = 0; i < args.plan.tasks.size(); ++i) {
      const Op& op = args.graph.op(args.plan.tasks[i].op);
      schedule_.Add(StreamUnder(args.plan.streams, op.stream), 0);
      for (const int32_t need : needs[i]) schedule_.Need(need);
      groups_.push_back(GroupsFor(op.key.group));
    }
    if (args.rows != nullptr) {
      routed_.emplace(RoutedSizes::Args{args.graph, args.plan, args.spec, args.topology,
                                        args.layout, args.batch, *args.rows});
    }
    step_.ranks.resize(ranks_);
    step_.traced.assign(args.traced_ranks.size(), std::vector<TracedTask>(args.plan.tasks.size()));
  }

  WorldStep Run() {
    const auto seconds = [this](int32_t task, std::span<double> alone) { Seconds(task, alone); };
    const auto observe = [this](int32_t task, const WorldTask& times) { Observe(task, times); };
    step_.seconds =
        RunWorld({schedule_, args_.topology.world_size, std::move(groups_), seconds}, observe);
    return std::move(step_);
  }

 private:
  const Op& OpOf(int32_t task) const {
    return args_.graph.op(args_.plan.tasks[static_cast<size_t>(task)].op);
  }

  const RankGroups* GroupsFor(GroupKind kind) {
    if (kind == GroupKind::kNone) return nullptr;
    const auto [found, added] = groups_of_.try_emplace(kind);
    if (added) found->second = GroupsOf(args_.topology, args_.layout, kind);
    return &found->second;
  }

  void Seconds(int32_t task, std::span<double> seconds) {
    const Op& op = OpOf(task);
    if (!routed_.has_value() || !routed_->Sizes(task, sizes_)) {
      std::fill(sizes_.begin(), sizes_.end(),
                TaskSize(args_.graph, args_.plan, args_.plan.tasks[static_cast<size_t>(task)]));
    }
    double estimated = 0;
    for (size_t r = 0; r < ranks_; ++r) {
      // Neighbours often carry as much.
      if (r == 0 || sizes_[r] != sizes_[r - 1]) {
        const bool part = sizes_[r] != RoutedSizes::kNoPart;
        estimated = part ? args_.costs.Estimate(op.key, sizes_[r]).seconds : 0;
      }
      seconds[r] = estimated;
    }
    const bool collective = op.key.group != GroupKind::kNone;
    const std::vector<double>& slowdowns =
        collective ? args_.slowdowns.link : args_.slowdowns.compute;
    for (size_t r = 0; r < ranks_; ++r) seconds[r] *= slowdowns[r];
    for (size_t i = 0; i < args_.traced_ranks.size(); ++i) {
      step_.traced[i][static_cast<size_t>(task)].size =
          std::max(0.0, sizes_[static_cast<size_t>(args_.traced_ranks[i])]);
    }
  }

  void Observe(int32_t task, const WorldTask& times) {
    const Op& op = OpOf(task);
    const auto stream = static_cast<size_t>(op.stream);
    for (size_t r = 0; r < ranks_; ++r) {
      step_.ranks[r].busy[stream] += times.end[r] - times.begin[r];
      step_.ranks[r].waited += times.begin[r] - times.issued[r];
    }
    for (size_t i = 0; i < args_.traced_ranks.size(); ++i) {
      const auto r = static_cast<size_t>(args_.traced_ranks[i]);
      TracedTask& traced = step_.traced[i][static_cast<size_t>(task)];
      traced.issued = times.issued[r];
      traced.begin = times.begin[r];
      traced.end = times.end[r];
    }
    if (op.key.group == GroupKind::kNone) return;
    for (const std::vector<int32_t>& members : GroupsFor(op.key.group)->members) {
      HoldUp(members, times.issued);
      HoldUp(members, times.alone);
    }
  }

  // What the others have less than the member with the most is because of it.
  void HoldUp(const std::vector<int32_t>& members, const std::vector<double>& seconds) {
    const auto most = *std::max_element(members.begin(), members.end(), [&](int32_t a, int32_t b) {
      return seconds[static_cast<size_t>(a)] < seconds[static_cast<size_t>(b)];
    });
    RankUse& use = step_.ranks[static_cast<size_t>(most)];
    for (const int32_t member : members) {
      use.held_up += seconds[static_cast<size_t>(most)] - seconds[static_cast<size_t>(member)];
    }
  }

  const WorldStepArgs& args_;
  size_t ranks_;
  std::vector<double> sizes_;  // of the task that is asked for, by rank
  Schedule schedule_;
  std::map<GroupKind, RankGroups> groups_of_;
  std::vector<const RankGroups*> groups_;  // [task]
  std::optional<RoutedSizes> routed_;
  WorldStep step_;
};

}  // namespace

int32_t WorldStep::SlowestRank() const {
  const auto slowest =
      std::max_element(ranks.begin(), ranks.end(),
                       [](const RankUse& a, const RankUse& b) { return a.held_up < b.held_up; });
  if (slowest == ranks.end() || slowest->held_up <= 0) return -1;
  return static_cast<int32_t>(slowest - ranks.begin());
}

WorldStep SimulateWorld(const WorldStepArgs& args) { return WorldSimulation(args).Run(); }

}  // namespace weft
