#include "simulation/world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "simulation/contended_world.h"

namespace weft {
namespace {

constexpr Topology kTopology{8, 4};
constexpr Layout kLayout{2, 2, 2};

class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed, "world") {}
  int32_t Below(int32_t n) {
    return static_cast<int32_t>(random_.Bits(next_++) % static_cast<uint64_t>(n));
  }
  double Real() { return random_.Uniform(next_++); }

 private:
  CounterRng random_;
  uint64_t next_ = 0;
};

// Tasks with random streams, needs and groups; what they take on which rank.
struct RandomWorld {
  Schedule schedule;
  std::vector<RankGroups> kinds;
  std::vector<const RankGroups*> groups;
  std::vector<std::vector<double>> seconds;  // [task][rank]

  RandomWorld(uint64_t seed, bool alike, const Contention& contention) : schedule(contention) {
    Draws draw(seed);
    for (const GroupKind kind : {GroupKind::kWorld, GroupKind::kIntra, GroupKind::kInter,
                                 GroupKind::kEp, GroupKind::kEsp}) {
      kinds.push_back(GroupsOf(kTopology, kLayout, kind));
    }
    for (int32_t task = 0; task < 60; ++task) {
      const auto stream = static_cast<StreamKind>(draw.Below(3));
      const double whole = draw.Below(8) == 0 ? 0 : draw.Below(20);  // with ties and nothings
      schedule.Add(stream, whole);
      for (int32_t i = draw.Below(3); i > 0 && task > 0; --i) schedule.Need(draw.Below(task));
      const bool collective = stream != StreamKind::kCompute && draw.Below(4) > 0;
      groups.push_back(collective ? &kinds[static_cast<size_t>(draw.Below(5))] : nullptr);
      std::vector<double>& of = seconds.emplace_back(8, whole);
      for (double& s : of) s = alike ? whole : draw.Below(4) == 0 ? 0 : 10 * draw.Real();
    }
  }

  struct Times {
    std::vector<WorldTask> tasks;
    double makespan = 0;
  };
  Times Run(double (*run)(const World&, WorldObserver)) const {
    Times times;
    times.tasks.resize(seconds.size());
    const auto of = [this](int32_t task, std::span<double> alone) {
      std::copy(seconds[static_cast<size_t>(task)].begin(),
                seconds[static_cast<size_t>(task)].end(), alone.begin());
    };
    times.makespan = run({schedule, 8, groups, of}, [&](int32_t task, const WorldTask& t) {
      EXPECT_TRUE(times.tasks[static_cast<size_t>(task)].end.empty()) << "told once";
      times.tasks[static_cast<size_t>(task)] = t;
    });
    return times;
  }
};

Contention SomeContention() {
  Contention contention;
  contention.stretch = {{{0, 0.1, 0.4}, {0.2, 0, 0.3}, {0.7, 0.5, 0}}};
  return contention;
}

TEST(WorldTest, RanksThatAreAlikeAreTheOneRankThatStandsForAll) {
  for (const Contention& contention : {Contention{}, SomeContention()}) {
    for (uint64_t seed = 0; seed < 100; ++seed) {
      const RandomWorld world(seed, true, contention);
      std::vector<double> begin, end;
      const double makespan = RunSchedule(world.schedule, begin, end);
      const RandomWorld::Times times = world.Run(RunWorld);
      EXPECT_EQ(times.makespan, makespan);
      for (size_t task = 0; task < times.tasks.size(); ++task) {
        EXPECT_EQ(times.tasks[task].begin, std::vector<double>(8, begin[task])) << seed;
        EXPECT_EQ(times.tasks[task].end, std::vector<double>(8, end[task])) << seed;
        EXPECT_EQ(times.tasks[task].issued, times.tasks[task].begin) << "nobody waits";
      }
    }
  }
}

// Two programs for one question: the pass in the order of issue, the queue in the order of time.
TEST(WorldTest, TheQueueAndThePassAgreeWhereNothingContends) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const RandomWorld world(seed, false, Contention{});
    const RandomWorld::Times pass = world.Run(RunWorld), queue = world.Run(RunContendedWorld);
    ASSERT_EQ(pass.makespan, queue.makespan) << seed;
    for (size_t task = 0; task < pass.tasks.size(); ++task) {
      ASSERT_EQ(pass.tasks[task].issued, queue.tasks[task].issued) << seed;
      ASSERT_EQ(pass.tasks[task].begin, queue.tasks[task].begin) << seed;
      ASSERT_EQ(pass.tasks[task].end, queue.tasks[task].end) << seed;
    }
  }
}

// What the definition says of any world: nothing begins before its stream and its needs have ended
// or before another member; everything ends, together, and no sooner than alone.
TEST(WorldTest, UnlikeRanksUnderContentionKeepEveryRule) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const RandomWorld world(seed, false, SomeContention());
    const RandomWorld::Times times = world.Run(RunWorld);
    for (int32_t task = 0; task < world.schedule.size(); ++task) {
      const WorldTask& of = times.tasks[static_cast<size_t>(task)];
      ASSERT_EQ(of.end.size(), 8u) << "it has ended";
      const RankGroups* groups = world.groups[static_cast<size_t>(task)];
      for (size_t rank = 0; rank < 8; ++rank) {
        double ready = 0;
        for (int32_t i = world.schedule.needs_begin(task); i < world.schedule.needs_end(task);
             ++i) {
          const auto need = static_cast<size_t>(world.schedule.needs()[static_cast<size_t>(i)]);
          ready = std::max(ready, times.tasks[need].end[rank]);
        }
        for (int32_t earlier = 0; earlier < task; ++earlier) {
          if (world.schedule.stream(earlier) != world.schedule.stream(task)) continue;
          ready = std::max(ready, times.tasks[static_cast<size_t>(earlier)].end[rank]);
        }
        EXPECT_DOUBLE_EQ(of.issued[rank], ready);
        double start = of.issued[rank], alone = of.alone[rank];
        if (groups != nullptr) {
          const auto group = static_cast<size_t>(groups->group_of[rank]);
          for (const int32_t member : groups->members[group]) {
            start = std::max(start, of.issued[static_cast<size_t>(member)]);
            alone = std::max(alone, of.alone[static_cast<size_t>(member)]);
            EXPECT_EQ(of.end[rank], of.end[static_cast<size_t>(member)]);
          }
        }
        EXPECT_EQ(of.begin[rank], start);
        EXPECT_GE(of.end[rank] - of.begin[rank], alone - 1e-9);
        EXPECT_LE(of.end[rank] - of.begin[rank], alone * 2.2 + 1e-9) << "1 + 0.7 + 0.5";
      }
    }
  }
}

// Two ranks; compute is slowed to 1/1.5 beside a transfer that goes on, transfers are not slowed.
//   task 0  compute   rank 0: 4   rank 1: 2
//   task 1  exchange  needs 0; 6 alone
//   task 2  compute   rank 0: 2   rank 1: 10
// Both compute from 0 on. Rank 1 is ready to exchange at 2 and waits, which slows nobody; its task
// 2 has done 2 of 10 when rank 0 is ready, at 4. The exchange runs from 4 to 10. Beside it rank 0
// needs 2 x 1.5 for task 2: done at 7. Rank 1 gets 6 / 1.5 = 4 of the remaining 8 done by 10 and
// the other 4 by 14.
TEST(WorldTest, ContentionBeginsWithTheTransferNotWithTheWait) {
  Contention contention;
  contention.stretch[0][2] = 0.5;
  Schedule schedule(contention);
  schedule.Add(StreamKind::kCompute, 0);
  schedule.Add(StreamKind::kInter, 0);
  schedule.Need(0);
  schedule.Add(StreamKind::kCompute, 0);
  const RankGroups both = GroupsOf({2, 1}, {1, 2, 1}, GroupKind::kWorld);
  const double seconds[3][2] = {{4, 2}, {6, 6}, {2, 10}};
  std::vector<WorldTask> tasks(3);
  const auto of = [&](int32_t task, std::span<double> alone) {
    std::copy_n(seconds[task], 2, alone.begin());
  };
  const double makespan =
      RunWorld({schedule, 2, {nullptr, &both, nullptr}, of},
               [&](int32_t task, const WorldTask& t) { tasks[static_cast<size_t>(task)] = t; });
  EXPECT_DOUBLE_EQ(makespan, 14);
  EXPECT_EQ(tasks[1].issued, (std::vector<double>{4, 2}));
  EXPECT_EQ(tasks[1].begin, (std::vector<double>{4, 4}));
  EXPECT_EQ(tasks[1].end, (std::vector<double>{10, 10}));
  EXPECT_DOUBLE_EQ(tasks[2].end[0], 7);
  EXPECT_DOUBLE_EQ(tasks[2].end[1], 14);
}

TEST(GroupsOfTest, EveryRankIsInTheGroupThatTheLayoutSays) {
  for (const GroupKind kind :
       {GroupKind::kNone, GroupKind::kWorld, GroupKind::kIntra, GroupKind::kInter, GroupKind::kEp,
        GroupKind::kEsp, GroupKind::kEdp}) {
    const RankGroups groups = GroupsOf(kTopology, kLayout, kind);
    for (int32_t rank = 0; rank < 8; ++rank) {
      std::vector<int32_t> expected;
      for (const RankId member : GroupOf(kTopology, kLayout, kind, RankId{rank})) {
        expected.push_back(member.value);
      }
      const auto group = static_cast<size_t>(groups.group_of[static_cast<size_t>(rank)]);
      EXPECT_EQ(groups.members[group], expected);
    }
  }
}

}  // namespace
}  // namespace weft
