#include <gtest/gtest.h>

#include <memory>

#include "base/all_reduce.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/measured_cost_model.h"

namespace weft {
namespace {

CostKey AllToAll(OpKind kind, Direction direction) {
  return CostKey{kind, direction, GroupKind::kEp, 2, LinkClass::kInterNode, DType::kF32, 0};
}

std::shared_ptr<const CostModel> Analytic() {
  MachineSpeeds speeds;
  speeds.inter = {1e-3, 1e6};
  speeds.flops = 1e9;
  speeds.elements = 1e7;
  speeds.launch = 1e-5;
  return std::make_shared<AnalyticCostModel>(speeds);
}

MeasuredCostModel Measured(const CostEntry& entry) {
  ProfileTable table;
  table.entries[CalibrationKey(AllToAll(OpKind::kDispatch, Direction::kForward))] = entry;
  return MeasuredCostModel(table, Analytic());
}

double Seconds(const CostModel& model, double size) {
  return model.Estimate(AllToAll(OpKind::kCombine, Direction::kBackward), size).seconds;
}

TEST(MeasuredCostModelTest, UnderALimitWhatWasMeasuredUnderIt) {
  const auto entry = [](double seconds) {
    return CostEntry{{{0, seconds}, {1e6, 2 * seconds}}, {}};
  };
  ProfileTable table;
  const CostKey all_to_all = CalibrationKey(AllToAll(OpKind::kDispatch, Direction::kForward));
  CostKey gather = all_to_all;
  gather.kind = OpKind::kEspAllGather;
  CostKey limited = all_to_all;
  limited.sm_limit = 8;
  table.entries = {{all_to_all, entry(1)}, {gather, entry(2)}, {limited, entry(3)}};
  table.contention.stretch[0] = {0, 0.5, 0};
  table.limited_contention[8].stretch[0] = {0, 0.25, 0};
  const MeasuredCostModel free(table, Analytic());
  const MeasuredCostModel of_eight(table, Analytic(), 2, 8);
  EXPECT_EQ(Seconds(free, 0), 1);
  EXPECT_EQ(Seconds(of_eight, 0), 3);
  EXPECT_EQ(of_eight.Estimate(limited, 0).seconds, 3);
  EXPECT_EQ(of_eight.Estimate(gather, 0).seconds, 2) << "not measured: as without";
  EXPECT_EQ(free.contention(), table.contention);
  EXPECT_EQ(of_eight.contention(), table.limited_contention.at(8));
}

TEST(AnalyticCostModelTest, AlphaPlusBetaTimesSize) {
  const auto model = Analytic();
  const CostKey dispatch = AllToAll(OpKind::kDispatch, Direction::kForward);
  EXPECT_DOUBLE_EQ(model->Estimate(dispatch, 0).seconds, 1e-5 + 1e-3);
  EXPECT_DOUBLE_EQ(model->Estimate(dispatch, 2e6).seconds, 1e-5 + 1e-3 + 2);
  EXPECT_FALSE(model->Estimate(dispatch, 0).measured);
  const CostKey expert{
      OpKind::kExpert, Direction::kForward, GroupKind::kNone, 1, LinkClass::kNone, DType::kF32, 5};
  EXPECT_DOUBLE_EQ(model->Estimate(expert, 1e9).seconds, 1e-5 + 1);
  CostKey optimizer = expert;
  optimizer.kind = OpKind::kOptimizer;
  EXPECT_DOUBLE_EQ(model->Estimate(optimizer, 1e7).seconds, 1e-5 + 1);
}

TEST(AnalyticCostModelTest, AnAllReducePaysForTheStepsItTakes) {
  MachineSpeeds speeds;
  speeds.launch = 0;
  speeds.inter = {1e-3, 1e8};
  CostKey reduce = AllToAll(OpKind::kGradAllReduce, Direction::kBackward);
  for (const int32_t members : {2, 3, 4, 64}) {
    reduce.group_size = members;
    double previous = 0;
    for (const int64_t elements : {0, 1, 65, 66, 1365, 1366, 2048, 2049, 4096, 4097, 1000000}) {
      const AllReduceCost real = CostOfAllReduce(elements, 4, members);
      const double size = 8.0 * static_cast<double>(elements) * (members - 1) / members;
      const double seconds = AnalyticCostModel(speeds).Estimate(reduce, size).seconds;
      // But for the rounding to whole elements.
      EXPECT_NEAR(seconds,
                  static_cast<double>(real.steps) * 1e-3 + static_cast<double>(real.bytes) / 1e8,
                  8e-8 * members)
          << elements << " elements of " << members;
      EXPECT_GE(seconds, previous);
      previous = seconds;
    }
  }
}

TEST(AnalyticCostModelTest, AnAllReduceDoesNotGetCheaperWithTheSecondStep) {
  MachineSpeeds speeds;
  speeds.launch = 0;
  speeds.inter = {0, 1e8};
  CostKey reduce = AllToAll(OpKind::kGradAllReduce, Direction::kBackward);
  reduce.group_size = 16;
  const AnalyticCostModel model(speeds);
  const double last = 2.0 * kOneStepAllReduceBytes / 16;  // bytes of two steps
  EXPECT_DOUBLE_EQ(model.Estimate(reduce, last).seconds, kOneStepAllReduceBytes / 1e8);
  EXPECT_DOUBLE_EQ(model.Estimate(reduce, 2 * last).seconds, kOneStepAllReduceBytes / 1e8);
  EXPECT_DOUBLE_EQ(model.Estimate(reduce, 1e6).seconds, 1e6 / 1e8);
}

TEST(MeasuredCostModelTest, AnAcceptedLineAnswersForAllItsOperations) {
  const MeasuredCostModel model = Measured({{{0, 1}, {10, 3}}, LinearCost{1, 0.2, 1, 0.03, true}});
  for (const OpKind kind : {OpKind::kDispatch, OpKind::kCombine}) {
    const CostEstimate estimate = model.Estimate(AllToAll(kind, Direction::kBackward), 20);
    EXPECT_DOUBLE_EQ(estimate.seconds, 5);
    EXPECT_DOUBLE_EQ(estimate.spread, 0.03);
    EXPECT_TRUE(estimate.measured);
  }
}

TEST(MeasuredCostModelTest, OtherwiseInterpolatesBetweenMonotoneSamples) {
  CostKey expert;
  expert.kind = OpKind::kExpert;
  ProfileTable table;
  table.entries[expert] = {{{10, 1}, {20, 4}, {30, 2}, {40, 7}}, LinearCost{0, 0, 0, 0.4, false}};
  const MeasuredCostModel model(table, Analytic());
  const auto seconds = [&](double size) { return model.Estimate(expert, size).seconds; };
  EXPECT_DOUBLE_EQ(seconds(0), 1);  // never less than the smallest sample
  EXPECT_DOUBLE_EQ(seconds(10), 1);
  EXPECT_DOUBLE_EQ(seconds(15), 2);  // 4 and 2 pool to 3
  EXPECT_DOUBLE_EQ(seconds(25), 3);
  EXPECT_DOUBLE_EQ(seconds(35), 5);
  EXPECT_DOUBLE_EQ(seconds(50), 7 + 10 * 0.4);  // the last step's slope
  double previous = 0;
  for (int i = 0; i < 200; ++i) {
    EXPECT_GE(seconds(i / 2.0), previous) << i;
    previous = seconds(i / 2.0);
  }
}

// 10 bytes alone took 1 s, 40 took 8 s: four times 10 bytes will not take 4 s. All 70 bytes
// took 12.
TEST(MeasuredCostModelTest, ManySmallMessagesAreNotFasterThanOneLarge) {
  const MeasuredCostModel model =
      Measured({{{10, 1}, {20, 3}, {40, 8}}, LinearCost{0, 0, 0, 0.4, false}});
  EXPECT_DOUBLE_EQ(Seconds(model, 40), 40 * 12.0 / 70);
  EXPECT_DOUBLE_EQ(Seconds(model, 20), 20 * 12.0 / 70);
  EXPECT_DOUBLE_EQ(Seconds(model, 10), 10 * 12.0 / 70);
  for (const double size : {11.0, 17.0, 25.0, 39.0, 50.0, 80.0}) {
    for (const double pieces : {2.0, 3.0, 8.0}) {
      EXPECT_GE(pieces * Seconds(model, size / pieces), Seconds(model, size) * (1 - 1e-12));
    }
  }
}

TEST(MeasuredCostModelTest, AFlatEndDoesNotPromiseFreeBytes) {
  const MeasuredCostModel model = Measured({{{0, 1}, {10, 3}, {20, 3}}, {}});
  EXPECT_DOUBLE_EQ(Seconds(model, 40), 3 + 20 * 0.1);
}

TEST(MeasuredCostModelTest, RepeatedSizesAreAveraged) {
  const MeasuredCostModel model = Measured({{{10, 1}, {10, 3}, {20, 4}}, {}});
  EXPECT_DOUBLE_EQ(Seconds(model, 10), 2);
  EXPECT_DOUBLE_EQ(Seconds(model, 15), 3);
}

TEST(MeasuredCostModelTest, WithoutEnoughSamplesTheFallbackAnswers) {
  const MeasuredCostModel model = Measured({{{10, 100}}, LinearCost{100, 0, 1, 0, true}});
  const CostEstimate few = model.Estimate(AllToAll(OpKind::kDispatch, Direction::kForward), 0);
  EXPECT_FALSE(few.measured);
  EXPECT_DOUBLE_EQ(few.seconds, 1e-5 + 1e-3);
  CostKey other = AllToAll(OpKind::kDispatch, Direction::kForward);
  other.group_size = 4;
  EXPECT_FALSE(Measured({{{0, 1}, {1, 2}}, {}}).Estimate(other, 0).measured);
}

}  // namespace
}  // namespace weft
