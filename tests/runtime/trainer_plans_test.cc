// Which plan runs, and when it changes, is of no consequence for what is learned; and all ranks
// change it at the same step or none does.

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "graph/fixed_plan.h"
#include "gtest/gtest.h"
#include "scheduler/policies.h"
#include "tests/runtime/training_job.h"

namespace weft {
namespace {

class TrainerPlansTest : public testing::Test {
 protected:
  TrainerPlansTest() { job_.options.training.steps = 20; }

  TrainingResult Run() {
    const auto result = RunTrainingJob(job_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : TrainingResult{};
  }

  static void ExpectSameTraining(const TrainingResult& a, const TrainingResult& b) {
    ASSERT_EQ(a.Series("loss").size(), 20u);
    EXPECT_EQ(a.Series("loss"), b.Series("loss"));
    EXPECT_EQ(a.Series("balance_loss"), b.Series("balance_loss"));
    EXPECT_EQ(a.Series("gradient_norm"), b.Series("gradient_norm"));
    EXPECT_EQ(a.Series("val_bits_per_byte"), b.Series("val_bits_per_byte"));
  }

  // step -> epoch, as the trace of a rank has it.
  static std::map<int64_t, int64_t> TracedEpochs(const TrainingResult& result, int rank) {
    std::map<int64_t, int64_t> epochs;
    const nlohmann::json trace = result.Json(absl::StrCat("trace-rank", rank, ".json"));
    for (const nlohmann::json& event : trace["traceEvents"]) {
      if (event["ph"] == "X") epochs[event["args"]["step"]] = event["args"]["epoch"];
    }
    return epochs;
  }

  TestDirectory directory_;
  TrainingJob job_{directory_};
};

TEST_F(TrainerPlansTest, ThePolicyAndTheLinksChangeNoBit) {
  const TrainingResult weft = Run();
  for (const bool emulated : {false, true}) {
    if (emulated) job_.decorate = BehindNodeLinks;
    for (const std::string& policy : PolicyNames()) {
      job_.options.tuning.policy = policy;
      const TrainingResult result = Run();
      EXPECT_EQ(result.Json("plan.json")["policy"], policy);
      ExpectSameTraining(result, weft);
    }
  }
}

TEST_F(TrainerPlansTest, ExpertsThatFollowTheLoadMoveAndChangeNoBit) {
  job_.options.model.moe.routing = Routing::kForced;
  job_.options.model.moe.workload = Workload::kRotatingHotSpot;
  job_.options.model.moe.workload_period = 4;
  job_.options.tuning.expert_placement = "home";
  const TrainingResult home = Run();
  EXPECT_EQ(home.Read("trace-rank0.json").find("expert_weights"), std::string::npos);
  // What moving is worth is the plan's to say: with these terms every hot spot pays.
  const StepGraph graph = job_.Graph();
  const auto at_home = ExpertPlacement(graph.experts, graph.ep).by_member();
  const Plan follows = MakeFixedPlan(
      graph, {.placements = {{{0, at_home}, {1, at_home}}, FollowLoad{1, false, 1, 0.1, 0.1}}});
  job_.options.tuning.plan = directory_.Write("plan.json", PlanToJson(graph, follows));
  const TrainingResult followed = Run();
  ExpectSameTraining(followed, home);
  EXPECT_FALSE(followed.Json("plan.json")["follow_load"].is_null());
  double moved = 0;
  for (int rank = 0; rank < 4; ++rank) {
    const nlohmann::json trace = followed.Json(absl::StrCat("trace-rank", rank, ".json"));
    for (const nlohmann::json& event : trace["traceEvents"]) {
      const std::string name = event.value("name", "");
      if (name.rfind("expert_weights", 0) == 0) moved += event["args"].value("size", 0.0);
    }
  }
  EXPECT_GT(moved, 0) << "nothing moved";
}

// Gathers and scatters around attention, and the gradients of heads, under every policy.
TEST_F(TrainerPlansTest, ThePolicyChangesNoBitWhereHeadsAreShared) {
  job_.layout.mp = 2;
  job_.options.model.num_kv_heads = 2;
  const TrainingResult weft = Run();
  for (const std::string& policy : PolicyNames()) {
    job_.options.tuning.policy = policy;
    ExpectSameTraining(Run(), weft);
  }
}

// Gathers of parameters at the beginning and gradients in shards, under every policy.
TEST_F(TrainerPlansTest, ThePolicyChangesNoBitWhereTheOptimizerStateIsSpread) {
  job_.layout.zero_stage = 1;
  const TrainingResult weft = Run();
  for (const std::string& policy : PolicyNames()) {
    job_.options.tuning.policy = policy;
    ExpectSameTraining(Run(), weft);
  }
}

TEST_F(TrainerPlansTest, APlanFromAFileRunsAndChangesNoBit) {
  const TrainingResult planned = Run();
  job_.options.tuning.plan = directory_.Write("plan.json", job_.Proposal(7, 2).json);
  const TrainingResult given = Run();
  ExpectSameTraining(given, planned);
  EXPECT_EQ(given.Json("plan.json")["tasks"],
            nlohmann::json::parse(job_.Proposal(0, 2).json)["tasks"]);
  EXPECT_EQ(given.summary.plan_epoch, 0);

  job_.options.model.hidden_size = 32;
  const auto foreign = RunTrainingJob(job_);
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kInvalidArgument) << foreign.status();
}

TEST_F(TrainerPlansTest, AProposalIsInstalledAtTheSameStepOnAllRanks) {
  const TrainingResult undisturbed = Run();
  for (const bool emulated : {false, true}) {
    if (emulated) job_.decorate = BehindNodeLinks;
    // The proposal reaches the ranks before steps 16, 17, 15 and 18 (from 0): none may run it
    // before all have it, so step 19 is the first.
    InprocCoordination coordination(4);
    const int64_t reaches[] = {16, 17, 15, 18};
    for (int32_t rank = 0; rank < 4; ++rank) coordination.HoldProposals(rank, reaches[rank]);
    ASSERT_TRUE(coordination.of(0).Propose(job_.Proposal(1, emulated ? 5 : 3)).ok());
    job_.coordination = &coordination;
    const TrainingResult switched = Run();
    ExpectSameTraining(switched, undisturbed);
    EXPECT_EQ(switched.summary.plan_epoch, 1);
    for (const nlohmann::json& line : switched.Metrics("plan_epoch")) {
      EXPECT_EQ(line["plan_epoch"], line["step"].get<int>() <= 19 ? 0 : 1) << line["step"];
    }
    for (int rank = 0; rank < 4; ++rank) {
      EXPECT_EQ(TracedEpochs(switched, rank),
                (std::map<int64_t, int64_t>{{17, 0}, {18, 0}, {19, 1}}))
          << "rank " << rank;
    }
    EXPECT_EQ(switched.Read("plan.json"), coordination.plans().back());
    EXPECT_EQ(coordination.plans().size(), 2u);
  }
}

// In the middle of training and back again, beside a plan that says nothing of homes.
TEST_F(TrainerPlansTest, AProposalMayMoveExpertsAndTheNextOneMovesThemBack) {
  const TrainingResult undisturbed = Run();
  const StepGraph graph = job_.Graph();
  Placements swapped;
  swapped.homes = {{0, {5, 1, 2, 3, 4, 0}}, {1, {3, 4, 5, 0, 1, 2}}};
  Plan moved = MakeFixedPlan(graph, {.placements = swapped});
  moved.epoch = 1;
  ProposedPlan proposal{1, PlanToJson(graph, moved), 0};
  proposal.fingerprint = Fingerprint(proposal.json);
  for (const bool back : {false, true}) {
    InprocCoordination coordination(4);
    ASSERT_TRUE(coordination.of(0).Propose(proposal).ok());
    bool proposed = false;
    coordination.on_publish = [&](const JobStatus& status) {
      if (!back || status.plan_epoch != 1 || std::exchange(proposed, true)) return;
      EXPECT_TRUE(coordination.of(0).Propose(job_.Proposal(2, 3)).ok());
    };
    job_.coordination = &coordination;
    const TrainingResult switched = Run();
    EXPECT_EQ(switched.summary.plan_epoch, back ? 2 : 1);
    EXPECT_EQ(switched.Json("plan.json")["homes"].size(), back ? 0u : 2u);
    EXPECT_EQ(switched.Read("explain.txt").find("where experts live") == std::string::npos, back);
    const std::vector<double> expected = undisturbed.Series("loss");
    const std::vector<double> losses = switched.Series("loss");
    ASSERT_EQ(losses.size(), expected.size());
    for (size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(losses[i], expected[i], 1e-6 * expected[i]) << "step " << i;
  }
}

// Several plans take turns in the middle of training, then one of them stays.
TEST_F(TrainerPlansTest, ATrialOfPlansChangesNoBit) {
  job_.decorate = BehindNodeLinks;
  job_.options.training.steps = 40;
  job_.options.tuning.trial_rounds = 0;
  const TrainingResult undisturbed = Run();
  EXPECT_EQ(undisturbed.summary.plan_epoch, 0);
  job_.options.tuning.trial_rounds = 1;
  job_.options.run.compare = {"sequential", "weft"};
  job_.options.run.compare_rounds = 1;
  job_.options.run.compare_steps = 1;
  const TrainingResult tried = Run();
  EXPECT_EQ(tried.Series("loss"), undisturbed.Series("loss"));
  EXPECT_EQ(tried.Series("gradient_norm"), undisturbed.Series("gradient_norm"));
  // Twelve steps, then three under each of one to four plans, the rest under the best of them.
  const int64_t last = tried.summary.plan_epoch;
  ASSERT_GE(last, 2);
  ASSERT_LE(last, 5);
  for (const nlohmann::json& line : tried.Metrics("plan_epoch")) {
    const int64_t step = line["step"];
    const int64_t expected = step <= 12 ? 0 : std::min(last, 1 + (step - 13) / 3);
    EXPECT_EQ(line["plan_epoch"], expected) << "step " << step;
  }
  ASSERT_EQ(tried.summary.comparison.size(), 2u);
  EXPECT_EQ(tried.Json("plan.json")["epoch"], last) << "the plan that stays is in the run's folder";
  // What was tried is in the table of what was considered.
  const auto considered = nlohmann::json::parse(SummaryToJson(tried.summary))["plans_considered"];
  ASSERT_GE(considered.size(), 1u);
  EXPECT_EQ(considered[0]["experts"], "at home");
  EXPECT_TRUE(std::any_of(considered.begin(), considered.end(), [](const nlohmann::json& row) {
    return row.value("measured_steps", 0) >= 2;
  })) << tried.Read("explain.txt");
  EXPECT_EQ(std::count_if(considered.begin(), considered.end(),
                          [](const nlohmann::json& row) { return row["runs"] == true; }),
            1);
  EXPECT_NE(tried.Read("explain.txt").find(" at home  "), std::string::npos);
}

// A plan that nobody chose to begin with: the job trains until its own planning has replaced it and
// the change has been judged, which is at most 15 steps later.
TEST_F(TrainerPlansTest, ReplanningBesideTheStepsChangesNoBit) {
  job_.decorate = BehindNodeLinks;
  job_.options.training.steps = 2000;
  job_.options.training.validate_every = 0;
  job_.options.tuning.plan = directory_.Write("plan.json", job_.Proposal(0, 5).json);
  job_.options.tuning.replan = true;
  job_.options.tuning.replan_every = 5;
  job_.options.tuning.hysteresis = 0;
  std::atomic<bool> stop = false;
  job_.stop_requested = [&](int32_t) { return stop.load(); };
  InprocCoordination coordination(4);
  int64_t steps_since = 0;
  coordination.on_publish = [&](const JobStatus& status) {
    if (status.plan_epoch > 0 && ++steps_since == 15) stop = true;
  };
  job_.coordination = &coordination;
  const TrainingResult replanned = Run();
  EXPECT_TRUE(replanned.summary.stopped) << "no plan was better in 2000 steps";
  EXPECT_GE(replanned.summary.plan_epoch, 1);
  const auto summary = nlohmann::json::parse(SummaryToJson(replanned.summary));
  ASSERT_GE(summary["plan_switches"].size(), 1u);
  EXPECT_EQ(summary["plan_switches"][0]["plan_epoch"], 1);
  EXPECT_GT(summary["plan_switches"][0]["predicted_gain_seconds"], 0);

  // As many steps under the first plan alone.
  job_.options.tuning.replan = false;
  stop = false;
  InprocCoordination quiet(4);
  quiet.RequestAt(replanned.summary.steps - 1, {.stop = true});
  job_.coordination = &quiet;
  const TrainingResult undisturbed = Run();
  EXPECT_EQ(undisturbed.summary.plan_epoch, 0);
  EXPECT_EQ(undisturbed.Series("loss"), replanned.Series("loss"));
  EXPECT_EQ(undisturbed.Series("gradient_norm"), replanned.Series("gradient_norm"));
}

TEST_F(TrainerPlansTest, AProposalThatOneRankCannotPrepareIsInstalledNowhere) {
  const TrainingResult undisturbed = Run();
  for (const int32_t spoiled : {0, 3}) {
    InprocCoordination coordination(4);
    coordination.SpoilProposals(spoiled);
    ASSERT_TRUE(coordination.of(0).Propose(job_.Proposal(1, 3)).ok());
    job_.coordination = &coordination;
    const TrainingResult refused = Run();
    ExpectSameTraining(refused, undisturbed);
    EXPECT_EQ(refused.summary.plan_epoch, 0);
    EXPECT_EQ(coordination.plans().size(), 1u);
    for (int rank = 0; rank < 4; ++rank) {
      EXPECT_EQ(TracedEpochs(refused, rank),
                (std::map<int64_t, int64_t>{{17, 0}, {18, 0}, {19, 0}}));
    }
  }
}

}  // namespace
}  // namespace weft
