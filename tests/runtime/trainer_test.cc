// A whole job on threads: what it leaves behind, what it refuses, and that its memory stops
// growing.

#include "runtime/trainer.h"

#include <cmath>
#include <numeric>

#include "absl/strings/match.h"
#include "graph/profile_table.h"
#include "gtest/gtest.h"
#include "tensor/device/buffer.h"
#include "tests/runtime/training_job.h"

namespace weft {
namespace {

class TrainerTest : public testing::Test {
 protected:
  TestDirectory directory_;
  TrainingJob job_{directory_};
};

double MeanOf(std::vector<double>::const_iterator begin, std::vector<double>::const_iterator end) {
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

TEST_F(TrainerTest, LearnsAndLeavesAWholeRunDirectory) {
  InprocCoordination coordination(4);
  job_.coordination = &coordination;
  const auto result = RunTrainingJob(job_);
  ASSERT_TRUE(result.ok()) << result.status();

  const std::vector<double> losses = result->Series("loss");
  ASSERT_EQ(losses.size(), 30u);
  for (const double loss : losses) EXPECT_TRUE(std::isfinite(loss));
  EXPECT_LT(MeanOf(losses.end() - 5, losses.end()), 0.8 * losses.front());
  std::vector<double> numbers;
  for (const nlohmann::json& line : result->Metrics("loss")) numbers.push_back(line["step"]);
  std::vector<double> expected(30);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(numbers, expected);
  EXPECT_EQ(result->Series("val_bits_per_byte").size(), 3u);  // after steps 10, 20 and at the end

  const StepGraph graph = job_.Graph();
  const auto plan = PlanFromJson(graph, result->Read("plan.json"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(ValidatePlan(graph, *plan).ok()) << ValidatePlan(graph, *plan);
  const auto profile = ProfileFromJson(result->Read("profile.json"));
  ASSERT_TRUE(profile.ok()) << profile.status();
  for (const Op& op : graph.ops) {
    EXPECT_TRUE(profile->entries.contains(CalibrationKey(op.key)))
        << ToString(op.key) << " was never measured";
  }
  EXPECT_TRUE(absl::StrContains(result->Read("explain.txt"), "weft"));

  const JobSummary& s = result->summary;
  EXPECT_EQ(s.steps, 30);
  EXPECT_EQ(s.world_size, 4);
  EXPECT_FALSE(s.stopped);
  EXPECT_LT(s.val_bits_per_byte, s.unigram_bits_per_byte + 1);
  EXPECT_GT(s.unigram_bits_per_byte, s.bigram_bits_per_byte);
  const auto json = nlohmann::json::parse(SummaryToJson(s));
  for (const auto& [key, value] : json.items()) {
    if (value.is_number()) {
      EXPECT_TRUE(std::isfinite(value.get<double>())) << key;
      EXPECT_GE(value.get<double>(), 0) << key;
    }
  }
  EXPECT_GT(s.tokens_per_second, 0);
  EXPECT_GT(s.predicted_step_seconds, 0);
  EXPECT_GT(s.measured_step_seconds, 0);

  // What people were shown.
  const std::vector<JobStatus> statuses = coordination.statuses();
  ASSERT_FALSE(statuses.empty());
  EXPECT_EQ(statuses.back().step, 30);
  EXPECT_EQ(statuses.back().loss, losses.back());
  EXPECT_EQ(statuses.back().run_directory, result->run.path());
  EXPECT_EQ(coordination.plans(), std::vector<std::string>{result->Read("plan.json")});
}

TEST_F(TrainerTest, EveryRankLeavesATraceOfTheSameSteps) {
  const auto result = RunTrainingJob(job_);
  ASSERT_TRUE(result.ok()) << result.status();
  const auto plan = PlanFromJson(job_.Graph(), result->Read("plan.json"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (int rank = 0; rank < 4; ++rank) {
    const nlohmann::json trace = result->Json(absl::StrCat("trace-rank", rank, ".json"));
    ASSERT_TRUE(trace.is_object()) << "rank " << rank;
    EXPECT_EQ(trace["distributedInfo"]["rank"], rank);
    EXPECT_EQ(trace["distributedInfo"]["world_size"], 4);
    std::map<int64_t, size_t> tasks;  // of each step
    for (const nlohmann::json& event : trace["traceEvents"]) {
      if (event["ph"] != "X") continue;
      ++tasks[event["args"]["step"].get<int64_t>()];
      EXPECT_GE(event["dur"].get<double>(), event["args"]["wait"].get<double>());
    }
    const size_t all = plan->tasks.size();
    EXPECT_EQ(tasks, (std::map<int64_t, size_t>{{27, all}, {28, all}, {29, all}}));
  }
}

TEST_F(TrainerTest, TheComparisonChangesNothingThatWasTrained) {
  const auto plain = RunTrainingJob(job_);
  ASSERT_TRUE(plain.ok()) << plain.status();
  job_.options.run.compare = {"sequential", "weft"};
  job_.options.run.compare_rounds = 3;
  job_.options.run.compare_steps = 2;
  const auto compared = RunTrainingJob(job_);
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_EQ(compared->Series("loss"), plain->Series("loss"));
  EXPECT_EQ(compared->summary.val_bits_per_byte, plain->summary.val_bits_per_byte);
  EXPECT_TRUE(plain->summary.comparison.empty());
  ASSERT_EQ(compared->summary.comparison.size(), 2u);
  for (const ComparedPolicy& p : compared->summary.comparison) {
    ASSERT_EQ(p.rounds.size(), 3u);
    for (const std::vector<double>& round : p.rounds) EXPECT_EQ(round.size(), 2u);
    EXPECT_GT(p.bound_seconds(), 0);
    EXPECT_GE(p.order_bound_seconds, p.bound_seconds() * (1 - 1e-6));
    EXPECT_GE(p.predicted_step_seconds, p.order_bound_seconds * (1 - 1e-6));
    EXPECT_GE(p.predicted_step_seconds, p.bound_seconds() * (1 - 1e-6));  // spans are whole ns
  }
  // The search begins with what the sequential plan does.
  EXPECT_LE(compared->summary.comparison[1].predicted_step_seconds,
            compared->summary.comparison[0].predicted_step_seconds);
}

TEST_F(TrainerTest, ForcedRoutingIsNamedInEveryFigure) {
  const auto learned = RunTrainingJob(job_);
  ASSERT_TRUE(learned.ok()) << learned.status();
  EXPECT_TRUE(learned->Metrics("workload").empty());
  EXPECT_TRUE(learned->summary.workload.empty());

  MoeSpec& moe = job_.options.model.moe;
  moe.routing = Routing::kForced;
  moe.workload = Workload::kHotRank;
  moe.hot_experts = 2;
  job_.options.run.compare_workloads = {"w0", "w2", "w7"};
  job_.options.run.compare_rounds = 2;
  job_.options.run.compare_steps = 3;
  const auto forced = RunTrainingJob(job_);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_NE(forced->Series("loss"), learned->Series("loss"));
  ASSERT_EQ(forced->Metrics("workload").size(), forced->Series("loss").size());
  for (const nlohmann::json& line : forced->Metrics("workload")) EXPECT_EQ(line["workload"], "w2");
  EXPECT_EQ(forced->summary.workload, "w2");

  const nlohmann::json summary = nlohmann::json::parse(SummaryToJson(forced->summary));
  EXPECT_EQ(summary["workload"], "w2");
  ASSERT_EQ(summary["workloads"].size(), 3u);
  EXPECT_EQ(summary["workloads"][1]["workload"], "w2");
  EXPECT_EQ(summary["workloads"][0]["slowdown"], 1.0);
  EXPECT_NEAR(summary["workloads"][0]["fullest_rank"].get<double>(), 1.0, 0.01);
  // Two of six experts are hot: three quarters of the choices and a quarter of the rest, on one of
  // two ranks.
  EXPECT_NEAR(summary["workloads"][1]["fullest_rank"].get<double>(), 2 * (0.75 + 0.0625), 0.1);
  for (const nlohmann::json& workload : summary["workloads"]) {
    ASSERT_EQ(workload["rounds"].size(), 2u);
    EXPECT_EQ(workload["rounds"][0].size(), 3u);
  }
}

// Dropless routing is uneven while the router learns: a buffer may grow when an expert is more
// popular than ever before. It must come to an end.
TEST_F(TrainerTest, BuffersStopGrowing) {
  InprocCoordination coordination(4);
  std::map<int64_t, int64_t> growths;  // after each step
  coordination.on_publish = [&](const JobStatus& status) {
    growths[status.step] = Buffer::GrowthCount();
  };
  job_.coordination = &coordination;
  job_.options.training.steps = 40;
  job_.options.training.validate_every = 0;
  const auto result = RunTrainingJob(job_);
  ASSERT_TRUE(result.ok()) << result.status();
  // The publication of the last step is followed by others (validation, the end).
  EXPECT_EQ(growths.at(39), growths.at(29)) << "buffers grew in the last ten steps";
}

// Every token goes to every expert: no step needs more room than the first.
TEST_F(TrainerTest, WithSteadyRoutingNoWarmStepAllocates) {
  job_.options.model.moe.num_experts = 4;
  job_.options.model.moe.top_k = 4;
  const auto result = RunTrainingJob(job_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->summary.workspace_growths, 0);
}

TEST_F(TrainerTest, ATextThatIsTooShortIsRefused) {
  job_.options.data.paths = {directory_.Write("short.txt", "not much")};
  const auto result = RunTrainingJob(job_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
  job_.options.data.paths = {directory_.File("absent.txt")};
  const auto absent = RunTrainingJob(job_);
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound) << absent.status();
  EXPECT_TRUE(absl::StrContains(absent.status().message(), "absent.txt")) << absent.status();
}

TEST_F(TrainerTest, RanksOfDifferentConfigurationsDoNotStart) {
  job_.config_text = [](int32_t rank) { return rank == 2 ? "another" : "config"; };
  const auto result = RunTrainingJob(job_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
  EXPECT_TRUE(absl::StrContains(result.status().message(), "rank 2: its configuration"))
      << result.status();
}

TEST_F(TrainerTest, ALossThatIsNotFiniteEndsTheJob) {
  job_.options.training.optimizer.learning_rate = 1e30;
  const auto result = RunTrainingJob(job_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kOutOfRange) << result.status();
}

TEST_F(TrainerTest, AProfileOfAnotherMachineIsRefusedAndItsOwnIsTaken) {
  const auto first = RunTrainingJob(job_);
  ASSERT_TRUE(first.ok()) << first.status();
  job_.options.tuning.profile = first->run.Join("profile.json");
  const auto second = RunTrainingJob(job_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->Series("loss"), first->Series("loss"));
  job_.decorate = BehindNodeLinks;
  const auto other = RunTrainingJob(job_);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument) << other.status();
  EXPECT_TRUE(absl::StrContains(other.status().message(), "tuning.profile")) << other.status();
}

}  // namespace
}  // namespace weft
