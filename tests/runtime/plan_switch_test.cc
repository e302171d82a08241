// Another plan between two steps, of any kind: nothing that is learned changes. RunTinyJob itself
// looks whether the installation leaves values and moments alone, bit by bit; here the steps before
// and after it are compared with those of a job that never switches.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/fixed_plan.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/planner.h"
#include "tests/runtime/layout_cases.h"
#include "tests/runtime/run_ranks.h"
#include "tests/support/shuffle_order.h"

namespace weft {
namespace {

constexpr AllToAllAlgorithm kD = AllToAllAlgorithm::kDirect, kP = AllToAllAlgorithm::kPipe,
                            k2 = AllToAllAlgorithm::k2DH, k1 = AllToAllAlgorithm::k1DH;
// From every algorithm to every other one.
constexpr AllToAllAlgorithm kEveryChange[] = {kD, kP, kD, k2, kD, k1, kP, k2, kP, k1, k2, k1, kD};

struct SwitchCase {
  const char* name;
  Topology topology;
  Layout layout;
  int32_t micro_batches = 1;
  int32_t length = TinyJob::kLength;
  Routing routing = Routing::kLearned;
  double capacity_factor = 0;  // != 0: choices are dropped

  TinyJob Job() const {
    TinyJob job;
    job.model = TinyModel(Backbone::kMixtral);
    job.model.moe.routing = routing;
    job.model.moe.workload = Workload::kRotatingHotSpot;  // of forced routing
    job.model.moe.workload_period = 2;
    if (capacity_factor != 0) {
      job.model.moe.capacity_mode = CapacityMode::kFactor;
      job.model.moe.capacity_factor = capacity_factor;
    }
    job.length = job.model.max_sequence_length = length;
    job.topology = topology;
    job.layout = layout;
    job.micro_batches = micro_batches;
    job.steps = std::ssize(kEveryChange);
    return job;
  }
  friend void PrintTo(const SwitchCase& c, std::ostream* out) { *out << c.name; }
};

// EP groups that span nodes: alone, beside shards, beside copies of experts, with shared heads,
// with the optimizer state spread; tiles of sequences, drops, a load that changes.
std::vector<SwitchCase> SwitchCases() {
  return {
      {"Ep4", {4, 2}, {1, 4, 1}},
      {"Ep4Tiles", {4, 2}, {1, 4, 1}, 2, 128},
      {"Ep4Drops", {4, 2}, {1, 4, 1}, 1, 128, Routing::kLearned, 1.1},
      {"Ep4HotSpot", {4, 2}, {1, 4, 1}, 1, TinyJob::kLength, Routing::kForced},
      {"Ep4Mp2", {4, 2}, {1, 4, 1, 2}},
      {"Ep4Esp2", {8, 4}, {1, 4, 2}},
      {"Edp2Ep4", {8, 2}, {2, 4, 1}},
      {"Edp2Ep4Zero", {8, 2}, {2, 4, 1, 1, 1}},
  };
}

std::string NameOf(const testing::TestParamInfo<SwitchCase>& test) { return test.param.name; }

// Two plans in a row have no degree, number of slices or streams, algorithm or order in common, and
// of three in a row one does not cut blocks.
Plan PlanOfVersion(const StepGraph& graph, int64_t version, const Placements& placements) {
  const auto turn = [version](int64_t add) {
    return static_cast<int32_t>((version + add) % 4 + 1);
  };
  const Plan plan = MakeFixedPlan(
      graph, {.forward = turn(0),
              .backward = turn(2),
              .slices = turn(1),
              .streams = static_cast<int32_t>(version % kNumStreams) + 1,
              .all_to_all = kEveryChange[static_cast<size_t>(version) % std::size(kEveryChange)],
              .placements = placements,
              .cut_blocks = version % 3 != 0});
  return ShuffleOrder(graph, plan, static_cast<uint64_t>(version) + 1);
}

// Every expert on one member, away from home or not.
Placements Moved() {
  const std::vector<std::vector<int32_t>> experts = {{}, {0, 1, 2, 5}, {3}, {4}};
  return {{{0, experts}, {1, {experts.rbegin(), experts.rend()}}}, {}};
}

// The same in one layer alone.
Placements MovedInOneLayer() {
  Placements placements = Moved();
  placements.layers.erase(placements.layers.begin());
  return placements;
}

// One expert on two members.
Placements Copied() {
  const std::vector<std::vector<int32_t>> experts = {{1, 4}, {2, 3}, {0, 4, 5}, {}};
  return {{{0, experts}, {1, experts}}, {}};
}

// Every expert lives elsewhere in every version, in one layer or both, or as the configuration
// says.
Placements Resettled(int64_t version) {
  const std::vector<HomeChoice> in_turn[] = {{{0, {5, 2, 0, 4, 3, 1}}, {1, {1, 0, 2, 3, 4, 5}}},
                                             {{1, {3, 4, 5, 0, 1, 2}}},
                                             {},
                                             {{0, {4, 5, 3, 2, 1, 0}}, {1, {2, 0, 4, 1, 5, 3}}}};
  Placements placements = version % 3 == 0 ? Moved() : Placements{};
  placements.homes = in_turn[version % 4];
  return placements;
}

void ExpectNearLosses(const std::vector<TinyResult>& a, const std::vector<TinyResult>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t rank = 0; rank < a.size(); ++rank) {
    ASSERT_EQ(a[rank].losses.size(), b[rank].losses.size());
    for (size_t step = 0; step < b[rank].losses.size(); ++step) {
      const double loss = b[rank].losses[step];
      EXPECT_NEAR(a[rank].losses[step], loss, 1e-6 * loss) << "rank " << rank << ", step " << step;
    }
  }
}

class PlanSwitchTest : public testing::TestWithParam<SwitchCase> {};

TEST_P(PlanSwitchTest, DegreesAlgorithmsBlocksAndOrderChangeNoBitOfValuesAndMoments) {
  TinyJob job = GetParam().Job();
  const std::vector<TinyResult> base = RunRanks(job);
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    return PlanOfVersion(graph, version, {});
  };
  EXPECT_EQ(DifferenceOf(RunRanks(job), base), "");
}

TEST_P(PlanSwitchTest, ExpertsThatMoveBetweenStepsChangeNoBitEither) {
  TinyJob job = GetParam().Job();
  const std::vector<TinyResult> base = RunRanks(job);
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    const Placements in_turn[] = {{}, Moved(), MovedInOneLayer()};
    return PlanOfVersion(graph, version, in_turn[version % 3]);
  };
  EXPECT_EQ(DifferenceOf(RunRanks(job), base), "");
}

TEST_P(PlanSwitchTest, CopiesThatComeAndGoChangeRoundingAlone) {
  TinyJob job = GetParam().Job();
  const std::vector<TinyResult> base = RunRanks(job);
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    const Placements in_turn[] = {{}, Copied(), Moved()};
    return PlanOfVersion(graph, version, in_turn[version % 3]);
  };
  const std::vector<TinyResult> copies = RunRanks(job);
  ExpectNearLosses(copies, base);
  EXPECT_NE(DifferenceOf(copies, base), "") << "no expert had copies";
}

// The norm adds up in the order of homes, and is read where gradients are clipped; nothing else
// knows where an expert lives.
TEST_P(PlanSwitchTest, ExpertsThatChangeHomesChangeNoBitWhereNothingIsClipped) {
  TinyJob job = GetParam().Job();
  job.gradient_clip = 0;
  const std::vector<TinyResult> base = RunRanks(job);
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    return PlanOfVersion(graph, version, Resettled(version));
  };
  const std::vector<TinyResult> moved = RunRanks(job);
  EXPECT_EQ(moved[0].losses, base[0].losses);
  std::set<std::string> before, after;
  for (const Parameter& p : base[0].parameters) before.insert(p.name);
  for (const Parameter& p : moved[0].parameters) after.insert(p.name);
  EXPECT_NE(before, after) << "nobody lives elsewhere";

  TinyJob alone = GetParam().Job();
  alone.topology = {1, 1};
  alone.layout = {1, 1, 1};
  const TinyResult one = RunRanks(alone)[0];
  EXPECT_EQ(Merge(moved, one), Merge(base, one));
  if (job.layout.zero_stage > 0) return;  // ranks have parts of moments
  for (const auto windows : {&TinyResult::adam_m, &TinyResult::adam_v})
    EXPECT_EQ(Merge(moved, one, windows), Merge(base, one, windows));
}

TEST_P(PlanSwitchTest, ExpertsThatChangeHomesChangeRoundingAloneWhereGradientsAreClipped) {
  TinyJob job = GetParam().Job();
  const std::vector<TinyResult> base = RunRanks(job);
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    return PlanOfVersion(graph, version, Resettled(version));
  };
  ExpectNearLosses(RunRanks(job), base);
}

INSTANTIATE_TEST_SUITE_P(Cases, PlanSwitchTest, testing::ValuesIn(SwitchCases()), NameOf);

// Four ranks that switch at every step have the moments of one rank that never does.
TEST(PlanSwitchMomentsTest, AreThoseOfOneRank) {
  TinyJob job = SwitchCases().front().Job();
  job.switch_every = 1;
  job.make_plan = [](const StepGraph& graph, int64_t version) {
    return PlanOfVersion(graph, version, {});
  };
  const std::vector<TinyResult> many = RunRanks(job);
  job.switch_every = 0;
  job.make_plan = nullptr;
  job.topology = {1, 1};
  job.layout = {1, 1, 1};
  const std::vector<TinyResult> one = RunRanks(job);
  for (const auto windows : {&TinyResult::adam_m, &TinyResult::adam_v}) {
    const auto whole = Merge(many, one[0], windows);
    for (const auto& [name, moments] : one[0].*windows) {
      float largest = 0;
      for (const float moment : moments) largest = std::max(largest, std::abs(moment));
      EXPECT_GT(largest, 0) << name;
      for (size_t i = 0; i < moments.size(); ++i)
        ASSERT_NEAR(whole.at(name)[i], moments[i], 1e-3 * largest) << name << "[" << i << "]";
    }
  }
}

// Bytes count, starts do not: policies make plans as different as they can.
AnalyticCostModel Costs() {
  MachineSpeeds speeds;
  speeds.local.latency = speeds.intra.latency = speeds.inter.latency = speeds.launch = 1e-8;
  speeds.intra.bandwidth = 8e8;
  speeds.inter.bandwidth = 2e8;
  return AnalyticCostModel(speeds);
}

absl::StatusOr<Plan> PlanOfPolicy(const StepGraph& graph, const std::string& policy,
                                  const Placements& placements) {
  const AnalyticCostModel costs = Costs();
  PlanRequest request;
  request.graph = &graph;
  request.costs = &costs;
  request.policy = policy;
  request.placements = placements;
  request.search_tasks = 20'000;
  return MakePlan(request);
}

// All policies, then all again in another order.
std::vector<std::string> PoliciesInTurn() {
  const std::vector<std::string>& names = PolicyNames();
  std::vector<std::string> turns = names;
  for (size_t i = 0; i < names.size(); i += 2) turns.push_back(names[i]);
  for (size_t i = 1; i < names.size(); i += 2) turns.push_back(names[i]);
  return turns;
}

// The plan of each version, made once: all ranks have the same graph.
class PlansInTurn {
 public:
  using MakePlanOf = std::function<absl::StatusOr<Plan>(const StepGraph& graph, size_t version)>;
  explicit PlansInTurn(MakePlanOf make) : make_(std::move(make)) {}

  absl::StatusOr<Plan> operator()(const StepGraph& graph, int64_t version) {
    const std::lock_guard lock(mutex_);
    const auto found = plans_.find(version);
    if (found != plans_.end()) return found->second;
    absl::StatusOr<Plan> plan = make_(graph, static_cast<size_t>(version));
    if (plan.ok()) {
      plans_.emplace(version, *plan);
      tasks_.insert(TasksOf(graph, *plan));
    }
    return plan;
  }
  const std::map<int64_t, Plan>& plans() const { return plans_; }
  // How many of them issue other tasks, or the same in another order.
  size_t different() const { return tasks_.size(); }

 private:
  static std::vector<std::string> TasksOf(const StepGraph& graph, const Plan& plan) {
    std::vector<std::string> tasks;
    for (const PlanTask& task : plan.tasks) tasks.push_back(TaskName(graph, task));
    return tasks;
  }

  const MakePlanOf make_;
  std::mutex mutex_;
  std::map<int64_t, Plan> plans_;
  std::set<std::vector<std::string>> tasks_;
};

class PolicySwitchTest : public testing::TestWithParam<SwitchCase> {
 protected:
  std::vector<TinyResult> RunOnePolicy(const std::string& policy) {
    PlansInTurn plans(
        [&](const StepGraph& graph, size_t) { return PlanOfPolicy(graph, policy, {}); });
    return Run(plans, 0);
  }

  std::vector<TinyResult> RunInTurn(PlansInTurn& plans) { return Run(plans, 1); }

  const std::vector<std::string> turns_ = PoliciesInTurn();

 private:
  std::vector<TinyResult> Run(PlansInTurn& plans, int32_t switch_every) {
    TinyJob job = GetParam().Job();
    job.steps = static_cast<int32_t>(turns_.size());
    job.switch_every = switch_every;
    job.make_plan = std::ref(plans);
    return RunRanks(job);
  }
};

TEST_P(PolicySwitchTest, EveryPolicyInTurnIsOnePolicyThroughout) {
  PlansInTurn plans([&](const StepGraph& graph, size_t version) {
    return PlanOfPolicy(graph, turns_[version], {});
  });
  EXPECT_EQ(DifferenceOf(RunInTurn(plans), RunOnePolicy("weft")), "");
  // There was something to switch. Tiny gradients are never cut by size, so some policies agree.
  EXPECT_EQ(plans.plans().size(), turns_.size());
  EXPECT_GE(plans.different(), 5u);
  std::set<int32_t> degrees, streams;
  std::set<AllToAllAlgorithm> algorithms;
  for (const auto& [version, plan] : plans.plans()) {
    streams.insert(plan.streams);
    for (const DegreeChoice& choice : plan.degrees) degrees.insert(choice.degree);
    for (const AllToAllChoice& choice : plan.all_to_alls) algorithms.insert(choice.algorithm);
  }
  EXPECT_EQ(streams, (std::set<int32_t>{1, 2, 3}));
  EXPECT_GE(degrees.size(), 2u);
  EXPECT_GE(algorithms.size(), 2u);
}

TEST_P(PolicySwitchTest, PoliciesAndPlacementsInTurnChangeRoundingAlone) {
  PlansInTurn plans([&](const StepGraph& graph, size_t version) {
    const Placements in_turn[] = {{}, Copied(), Moved()};
    return PlanOfPolicy(graph, turns_[version], in_turn[version % 3]);
  });
  ExpectNearLosses(RunInTurn(plans), RunOnePolicy("sequential"));
}

INSTANTIATE_TEST_SUITE_P(Cases, PolicySwitchTest, testing::ValuesIn(SwitchCases()), NameOf);

}  // namespace
}  // namespace weft
