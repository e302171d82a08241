// Steps over an emulated NCCL, on emulated devices, train the model that steps on the CPU train, in
// every layout; and what goes wrong in them names who it was.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "graph/profile_table.h"
#include "tests/comm/nccl/nccl_ranks.h"
#include "tests/runtime/layout_cases.h"
#include "tests/runtime/run_ranks.h"
#include "tests/runtime/test_directory.h"
#include "tests/runtime/training_job.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/cuda_emulator/emulated_nccl.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// As a job does: whoever waits for the device is let go.
// Plans may limit collectives.
std::unique_ptr<Backend> OverNccl(std::unique_ptr<Backend> host) {
  const auto rank = std::make_shared<Backend*>(nullptr);
  auto made = std::make_unique<NcclRank>(
      std::move(host),
      NcclOptions{.sm_limits = {8, 16},
                  .on_failure = [rank](const absl::Status& cause) { (*rank)->Abort(cause); }});
  *rank = made.get();
  return made;
}

// The job's ranks over NCCL. own(rank, job): what is different on one of them.
absl::Status RunOverNccl(const TinyJob& job, std::vector<TinyResult>& results,
                         const std::function<void(int rank, TinyJob& job)>& own = nullptr) {
  cuda_emulator::SetDevices(job.topology.world_size);
  results.resize(static_cast<size_t>(job.topology.world_size));
  return SpawnRanks(
      job.topology.world_size,
      [&](Backend& backend) -> absl::Status {
        TinyJob mine = job;
        mine.device = &static_cast<NcclRank&>(backend).device();
        mine.device_backend = &backend;
        if (own != nullptr) own(backend.rank(), mine);
        WEFT_ASSIGN_OR_RETURN(results[static_cast<size_t>(backend.rank())],
                              RunTinyJob(backend, mine));
        return absl::OkStatus();
      },
      OverNccl);
}

class NcclTrainingTest : public testing::TestWithParam<LayoutCase> {};

TEST_P(NcclTrainingTest, TrainsTheModelOfTheCpu) {
  TinyJob job = GetParam().job();
  job.steps = 4;
  job.forward_degree = 2;
  job.backward_degree = 3;
  job.slices = 2;
  job.shuffle = 7;
  const std::vector<TinyResult> cpu = RunRanks(job);
  std::vector<TinyResult> nccl;
  const absl::Status status = RunOverNccl(job, nccl);
  ASSERT_TRUE(status.ok()) << status;
  for (size_t rank = 0; rank < nccl.size(); ++rank) {
    ASSERT_EQ(nccl[rank].losses.size(), cpu[rank].losses.size());
    for (size_t step = 0; step < cpu[rank].losses.size(); ++step) {
      // fp32 sums in another order; what steps add to one another grows.
      EXPECT_NEAR(nccl[rank].losses[step], cpu[rank].losses[step], 2e-5) << "step " << step;
      EXPECT_NEAR(nccl[rank].norms[step] / cpu[rank].norms[step], 1, 2e-4) << "step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, NcclTrainingTest, testing::ValuesIn(LayoutCases()),
                         [](const auto& test) { return test.param.name; });

// Multiprocessors that collectives may take change between two steps: the training does not.
TEST(NcclTrainingTest, LimitsThatChangeDoNotChangeTheTraining) {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.topology = {4, 2};
  job.layout = {2, 2, 1};
  job.steps = 4;
  job.switch_every = 1;
  const auto run = [&](const std::vector<int32_t>& limits) {
    job.make_plan = [&limits](const StepGraph& graph, int64_t version) -> absl::StatusOr<Plan> {
      return MakeFixedPlan(graph,
                           {.forward = 2,
                            .backward = 2,
                            .sm_limit = limits[static_cast<size_t>(version) % limits.size()]});
    };
    std::vector<TinyResult> results;
    const absl::Status status = RunOverNccl(job, results);
    EXPECT_TRUE(status.ok()) << status;
    return results;
  };
  EXPECT_EQ(DifferenceOf(run({0}), run({0, 8, 16})), "");
  EXPECT_EQ(cuda_emulator::NcclMaxCtas(), 0) << "the fourth step is under the first limit";
  job.steps = 3;
  run({0, 8, 16});
  EXPECT_EQ(cuda_emulator::NcclMaxCtas(), 16);
}

TEST(NcclTrainingFailureTest, ALimitThatTheBackendLacksIsRefused) {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.topology = {2, 2};
  job.layout = {1, 2, 1};
  job.make_plan = [](const StepGraph& graph, int64_t /*version*/) -> absl::StatusOr<Plan> {
    return MakeFixedPlan(graph, {.sm_limit = 4});
  };
  std::vector<TinyResult> results;
  const absl::Status over_nccl = RunOverNccl(job, results);
  EXPECT_TRUE(absl::StrContains(
      std::string(over_nccl.message()),
      "plan: sm_limit 4: collectives here can be limited to 8, 16 multiprocessors"))
      << over_nccl;
  const absl::Status on_host =
      SpawnRanks(2, [&](Backend& backend) { return RunTinyJob(backend, job).status(); });
  EXPECT_TRUE(absl::StrContains(
      std::string(on_host.message()),
      "plan: sm_limit 4: collectives here cannot be limited to a number of multiprocessors"))
      << on_host;
}

// A job with everything around the steps: calibration, plans, validation, a checkpoint.
TEST(NcclJobTest, AWholeJobHasTheLossesOfTheCpu) {
  TestDirectory directory;
  TrainingJob job(directory);
  job.topology = {2, 2};
  job.layout = {1, 2, 1};
  job.options.training.steps = 6;
  job.options.training.validate_every = 3;
  job.options.tuning.profile_seconds = 0.1;
  job.options.checkpoint.at_end = true;
  const auto cpu = RunTrainingJob(job);
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  cuda_emulator::SetDevices(2);
  job.decorate = OverNccl;
  job.own_device = [](Backend& backend) { return &static_cast<NcclRank&>(backend).device(); };
  const auto nccl = RunTrainingJob(job);
  ASSERT_TRUE(nccl.ok()) << nccl.status();
  const std::vector<double> expected = cpu->Series("loss"), losses = nccl->Series("loss");
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t step = 0; step < losses.size(); ++step)
    EXPECT_NEAR(losses[step], expected[step], 1e-4);
  EXPECT_NEAR(nccl->summary.val_bits_per_byte, cpu->summary.val_bits_per_byte, 1e-4);
  // Every limit was measured, and planned with.
  const auto profile = ProfileFromJson(nccl->Read("profile.json"));
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->limited_contention.size(), 2u);
  for (const int32_t limit : {8, 16}) {
    EXPECT_TRUE(profile->limited_contention.contains(limit));
    const auto dispatch =
        std::find_if(profile->entries.begin(), profile->entries.end(), [&](const auto& entry) {
          return entry.first.kind == OpKind::kDispatch && entry.first.sm_limit == limit;
        });
    EXPECT_NE(dispatch, profile->entries.end()) << limit;
    EXPECT_TRUE(absl::StrContains(nccl->Read("explain.txt"), absl::StrCat(", ", limit, " SMs")));
  }
}

TinyJob TwoRanks() {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.topology = {2, 2};
  job.layout = {2, 1, 1};
  job.steps = 6;
  return job;
}

TEST(NcclTrainingFailureTest, ARankThatStopsIsNamed) {
  TinyJob job = TwoRanks();
  job.deadline = absl::Milliseconds(500);
  std::vector<TinyResult> results;
  const absl::Status status = RunOverNccl(job, results, [](int rank, TinyJob& own) {
    if (rank == 1) own.steps = 2;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  const std::string text(status.message());
  EXPECT_TRUE(absl::StrContains(text, "rank 0: step 2, epoch 0")) << status;
  EXPECT_TRUE(absl::StrContains(text, "rank 1 has not arrived")) << status;
}

// A communicator that loses its links when the step is nearly over: no call is left to tell.
class LosesPeers final : public Communicator {
 public:
  LosesPeers(std::unique_ptr<Communicator> inner, int after)
      : inner_(std::move(inner)), left_(after) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  CommunicatorTraits traits() const override { return inner_->traits(); }
  absl::Status AllReduce(TensorView data, ReduceOp op) override {
    return inner_->AllReduce(data, op);
  }
  absl::Status AllGather(ConstTensorView send, TensorView recv) override {
    WEFT_RETURN_IF_ERROR(inner_->AllGather(send, recv));
    if (--left_ == 0) cuda_emulator::LoseNcclPeers();
    return absl::OkStatus();
  }
  absl::Status AllGatherV(const AllGatherVArgs& args) override { return inner_->AllGatherV(args); }
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override {
    return inner_->ReduceScatterV(args);
  }
  absl::Status AllToAllV(const AllToAllVArgs& args) override { return inner_->AllToAllV(args); }
  absl::Status Broadcast(TensorView data, int root) override {
    return inner_->Broadcast(data, root);
  }
  absl::Status Barrier() override { return inner_->Barrier(); }
  absl::Status Health() const override { return inner_->Health(); }
  void Abort(const absl::Status& cause) override { inner_->Abort(cause); }

 private:
  const std::unique_ptr<Communicator> inner_;
  int left_;
};

// "world" reduces the step: the last collective of all.
class LosesPeersInStep final : public Backend {
 public:
  LosesPeersInStep(Backend& inner, int step) : inner_(inner), step_(step) {}
  int rank() const override { return inner_.rank(); }
  int world_size() const override { return inner_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    WEFT_ASSIGN_OR_RETURN(auto made, inner_.Connect(name, ranks, deadline));
    if (name != "world") return made;
    return std::make_unique<LosesPeers>(std::move(made), step_ + 1);
  }
  void Abort(const absl::Status& cause) override { inner_.Abort(cause); }

 private:
  Backend& inner_;
  const int step_;
};

TEST(NcclTrainingFailureTest, WhatIsLostAfterTheLastCallOfAStepEndsTheStep) {
  std::vector<TinyResult> results;
  std::vector<std::unique_ptr<LosesPeersInStep>> backends(2);
  const absl::Status status = RunOverNccl(TwoRanks(), results, [&](int rank, TinyJob& own) {
    auto& mine = backends[static_cast<size_t>(rank)];
    mine = std::make_unique<LosesPeersInStep>(*own.device_backend, 3);
    own.device_backend = mine.get();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  const std::string text(status.message());
  EXPECT_TRUE(absl::StrContains(text, "step 3, epoch 0, rank ")) << status;
  EXPECT_TRUE(absl::StrContains(text, "NCCL: ")) << status;
  EXPECT_TRUE(absl::StrContains(text, "remote error (a peer is gone)")) << status;
}

}  // namespace
}  // namespace weft
