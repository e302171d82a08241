// A run that was stopped and goes on is the run that was never stopped, bit for bit.

#include <filesystem>

#include "graph/fixed_plan.h"
#include "gtest/gtest.h"
#include "runtime/checkpoint/safetensors.h"
#include "tests/runtime/training_job.h"
#include "tests/runtime/two_way_device.h"

namespace weft {
namespace {

class TrainerResumeTest : public testing::Test {
 protected:
  TrainerResumeTest() {
    job_.options.training.steps = 20;
    job_.options.training.validate_every = 0;
    job_.options.checkpoint.at_end = true;
  }

  TrainingResult Run() {
    const auto result = RunTrainingJob(job_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : TrainingResult{};
  }

  // The run, told to stop in its tenth step; what runs next is told nothing.
  TrainingResult RunTenSteps() {
    InprocCoordination coordination(4);
    coordination.RequestAt(9, {.stop = true, .checkpoint = false});
    job_.coordination = &coordination;
    TrainingResult stopped = Run();
    EXPECT_EQ(stopped.summary.steps, 10);
    job_.coordination = nullptr;
    return stopped;
  }

  static bool HasCheckpoint(const TrainingResult& result, int step) {
    return std::filesystem::exists(result.run.Join(absl::StrCat("checkpoints/step-", step)));
  }

  void Resume(const TrainingResult& stopped) {
    job_.run_directory = stopped.run.path();
    job_.resume = true;
  }

  TestDirectory directory_;
  TrainingJob job_{directory_};
};

TEST_F(TrainerResumeTest, ARunStoppedOnRequestGoesOn) {
  const TrainingResult whole = Run();
  ASSERT_EQ(whole.Series("loss").size(), 20u);
  EXPECT_TRUE(HasCheckpoint(whole, 20));

  InprocCoordination coordination(4);
  coordination.RequestAt(9, {.stop = true, .checkpoint = false});
  job_.coordination = &coordination;
  const TrainingResult stopped = Run();
  EXPECT_TRUE(stopped.summary.stopped);
  EXPECT_EQ(stopped.summary.steps, 10);
  EXPECT_TRUE(HasCheckpoint(stopped, 10));
  EXPECT_EQ(coordination.statuses().back().last_checkpoint_step, 10);

  job_.coordination = nullptr;
  Resume(stopped);
  const TrainingResult resumed = Run();
  EXPECT_FALSE(resumed.summary.stopped);
  EXPECT_EQ(resumed.summary.steps, 20);
  EXPECT_EQ(resumed.Series("loss"), whole.Series("loss"));
  EXPECT_EQ(resumed.Series("gradient_norm"), whole.Series("gradient_norm"));
  EXPECT_EQ(resumed.summary.val_bits_per_byte, whole.summary.val_bits_per_byte);
}

// Shares of heads are saved by whoever has them, and belong to one layout only.
TEST_F(TrainerResumeTest, ARunThatSharesHeadsGoesOn) {
  job_.layout = {1, 4, 1, 2};
  job_.options.model.num_kv_heads = 2;
  const TrainingResult whole = Run();
  ASSERT_EQ(whole.Series("loss").size(), 20u);

  const TrainingResult stopped = RunTenSteps();
  Resume(stopped);
  job_.layout.mp = 1;
  const auto refused = RunTrainingJob(job_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  job_.layout.mp = 2;
  const TrainingResult resumed = Run();
  EXPECT_EQ(resumed.summary.steps, 20);
  EXPECT_EQ(resumed.Series("loss"), whole.Series("loss"));
  EXPECT_EQ(resumed.Series("gradient_norm"), whole.Series("gradient_norm"));
}

// So is spread optimizer state, with the parameters that its owner has updated.
TEST_F(TrainerResumeTest, ARunThatSpreadsItsOptimizerStateGoesOn) {
  job_.layout = {2, 2, 1, 2, 1};
  job_.options.model.num_kv_heads = 2;
  const TrainingResult whole = Run();
  const TrainingResult stopped = RunTenSteps();
  Resume(stopped);
  job_.layout.zero_stage = 0;
  const auto refused = RunTrainingJob(job_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  job_.layout.zero_stage = 1;
  const TrainingResult resumed = Run();
  EXPECT_EQ(resumed.Series("loss"), whole.Series("loss"));
  EXPECT_EQ(resumed.Series("gradient_norm"), whole.Series("gradient_norm"));
}

// Ways of computing products of groups differ in the last bits: what the run has used so far is not
// measured again.
TEST_F(TrainerResumeTest, ARunKeepsItsProductsOfGroups) {
  TwoWayDevice device;
  job_.device = &device;
  job_.options.tuning.grouped_products = "one_by_one";
  const TrainingResult stopped = RunTenSteps();
  Resume(stopped);
  job_.options.tuning.grouped_products = "auto";
  device.TakeUsed();
  EXPECT_EQ(Run().summary.steps, 20);
  EXPECT_EQ(device.TakeUsed(), std::set{GroupedMethod::kOneByOne});
}

// Experts that live elsewhere are saved by whoever has them, under their own names, and found
// there.
TEST_F(TrainerResumeTest, ARunWhoseExpertsHaveMovedGoesOn) {
  Placements swapped;
  swapped.homes = {{0, {3, 1, 2, 0, 4, 5}}, {1, {0, 2, 1, 4, 3, 5}}};
  const StepGraph graph = job_.Graph();
  ASSERT_TRUE(CheckPlacements(graph, swapped).ok()) << CheckPlacements(graph, swapped);
  job_.options.tuning.plan = directory_.Write(
      "plan.json", PlanToJson(graph, MakeFixedPlan(graph, {.placements = swapped})));
  const TrainingResult whole = Run();
  ASSERT_EQ(whole.Series("loss").size(), 20u);

  const TrainingResult stopped = RunTenSteps();
  const auto file =
      SafetensorsFile::Load(stopped.run.Join("checkpoints/step-10/rank-0.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_NE(file->Find("layers.0.experts.3.in.weight"), nullptr);
  EXPECT_EQ(file->Find("layers.0.experts.0.in.weight"), nullptr);

  // Whoever plans anew leaves them there.
  Resume(stopped);
  job_.options.tuning.plan.clear();
  job_.options.tuning.replan = false;
  job_.options.tuning.expert_placement = "home";
  const TrainingResult resumed = Run();
  EXPECT_EQ(resumed.summary.steps, 20);
  EXPECT_EQ(resumed.Json("plan.json")["homes"], whole.Json("plan.json")["homes"]);
  EXPECT_EQ(resumed.Series("loss"), whole.Series("loss"));
  EXPECT_EQ(resumed.Series("gradient_norm"), whole.Series("gradient_norm"));
}

// A signal to any one rank stops all at the same step.
TEST_F(TrainerResumeTest, OneRankThatIsToldToStopStopsAll) {
  std::array<int, 4> asked{};
  job_.stop_requested = [&](int32_t rank) {
    return ++asked[static_cast<size_t>(rank)] > 4 && rank == 2;
  };
  const TrainingResult stopped = Run();
  EXPECT_TRUE(stopped.summary.stopped);
  EXPECT_EQ(stopped.summary.steps, 5);
  EXPECT_TRUE(HasCheckpoint(stopped, 5));
}

TEST_F(TrainerResumeTest, ACheckpointOnRequestDoesNotStopTheJob) {
  InprocCoordination coordination(4);
  coordination.RequestAt(6, {.stop = false, .checkpoint = true});
  job_.coordination = &coordination;
  const TrainingResult result = Run();
  EXPECT_EQ(result.summary.steps, 20);
  EXPECT_TRUE(HasCheckpoint(result, 7));
  EXPECT_TRUE(HasCheckpoint(result, 20));
}

// The last checkpoint is lost as well as the steps after it: the run goes on from the one before.
TEST_F(TrainerResumeTest, ALostCheckpointCostsStepsOnly) {
  job_.options.checkpoint.every = 10;
  const TrainingResult whole = Run();
  const std::vector<double> losses = whole.Series("loss");
  ASSERT_TRUE(HasCheckpoint(whole, 10));
  ASSERT_TRUE(HasCheckpoint(whole, 20));
  std::filesystem::resize_file(whole.run.Join("checkpoints/step-20/rank-1.safetensors"), 100);
  Resume(whole);
  const TrainingResult resumed = Run();
  std::vector<double> expected = losses;  // metrics.jsonl is appended to
  expected.insert(expected.end(), losses.begin() + 10, losses.end());
  EXPECT_EQ(resumed.Series("loss"), expected);
}

TEST_F(TrainerResumeTest, WithoutACheckpointThereIsNothingToResume) {
  job_.resume = true;
  EXPECT_EQ(RunTrainingJob(job_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace weft
