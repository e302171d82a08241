#include "runtime/comm_calibration.h"

#include <set>

#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "gtest/gtest.h"
#include "models/build_step_graph.h"
#include "models/moe/ep_shape.h"
#include "runtime/executor.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

struct Case {
  const char* name;
  Topology topology;
  Layout layout;
};

constexpr Case kCases[] = {{"OneRank", {1, 1}, {1, 1, 1}},       {"TwoNodes", {2, 1}, {1, 2, 1}},
                           {"OneNode", {2, 2}, {1, 1, 2}},       {"EpEsp", {4, 2}, {1, 2, 2}},
                           {"EdpEp", {4, 2}, {2, 2, 1}},         {"Ep4", {4, 2}, {1, 4, 1}},
                           {"EdpEsp", {4, 2}, {2, 1, 2}},        {"MpEp", {4, 2}, {1, 4, 1, 2}},
                           {"MpWithPeers", {4, 4}, {1, 2, 2, 2}}};

StepGraph TrainingGraph(const Case& c) {
  BatchShape batch;
  batch.length = TinyJob::kLength;
  batch.global_sequences = TinyJob::kGlobalBatch;
  batch.sequences = TinyJob::kGlobalBatch / c.topology.world_size;
  return BuildStepGraph(TinyModel(Backbone::kMixtral), c.topology, c.layout, batch,
                        StepKind::kTraining);
}

class CommCalibrationTest : public testing::TestWithParam<Case> {};

TEST_P(CommCalibrationTest, CoversEveryClassOfCollectiveAroundItsSizes) {
  const StepGraph training = TrainingGraph(GetParam());
  const StepGraph sweep = BuildCommCalibration(training);
  EXPECT_TRUE(ValidateStepGraph(sweep).ok()) << ValidateStepGraph(sweep);

  std::map<CostKey, std::pair<double, double>> wanted, swept;
  const auto widen = [](std::map<CostKey, std::pair<double, double>>& ranges, const CostKey& key,
                        double size) {
    const auto [it, fresh] = ranges.try_emplace(key, size, size);
    if (fresh) return;
    it->second.first = std::min(it->second.first, size);
    it->second.second = std::max(it->second.second, size);
  };
  for (const Op& op : training.ops) {
    if (op.key.group != GroupKind::kNone && op.size > 0) {
      widen(wanted, CalibrationKey(op.key), op.size);
    }
  }
  for (const Op& op : sweep.ops) {
    EXPECT_EQ(op.key, CalibrationKey(op.key));
    EXPECT_NE(op.stream, StreamKind::kCompute);
    widen(swept, op.key, op.size);
  }
  EXPECT_EQ(wanted.empty(), GetParam().topology.world_size == 1);
  ASSERT_EQ(swept.size(), wanted.size());
  for (const auto& [key, range] : wanted) {
    ASSERT_TRUE(swept.contains(key)) << ToString(key);
    EXPECT_LE(swept[key].first, range.first) << ToString(key);
    EXPECT_GE(swept[key].second, range.second) << ToString(key);
  }
}

TEST_P(CommCalibrationTest, RunsOnTheRealGroups) {
  const Case& c = GetParam();
  const auto sweep = std::make_shared<const StepGraph>(BuildCommCalibration(TrainingGraph(c)));
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(*sweep, {}));
  const absl::Status status =
      SpawnRanks(c.topology.world_size, [&](Backend& backend) -> absl::Status {
        WEFT_ASSIGN_OR_RETURN(Groups groups,
                              ConnectGroups(backend, c.topology, c.layout, absl::Seconds(30)));
        CommCalibration program(groups, EpShape(c.topology, c.layout, RankId{backend.rank()}),
                                HostMemory());
        StreamSet streams;
        Executor executor(RankId{backend.rank()}, streams, program, MonotonicClock(),
                          [&](const absl::Status& cause) { backend.Abort(cause); });
        WEFT_RETURN_IF_ERROR(executor.Install(sweep, plan));
        for (int64_t step = 0; step < 2; ++step) {
          WEFT_ASSIGN_OR_RETURN(const StepReport report, executor.RunStep(step));
          EXPECT_EQ(report.spans.size(), sweep->ops.size());
          for (size_t i = 0; i < report.spans.size(); ++i) {
            // What was sent is what was asked for, but for the rounding to whole elements.
            const double asked = sweep->op(plan->tasks[i].op).size;
            EXPECT_NEAR(report.spans[i].size, asked, 8.0 * c.topology.world_size)
                << OpName(*sweep, plan->tasks[i].op);
          }
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(Layouts, CommCalibrationTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace weft
