#include "comm/hierarchy/exchange_plan.h"

#include <algorithm>
#include <set>

#include "gtest/gtest.h"
#include "tests/comm/hierarchy/row_matrices.h"

// What a plan says before anything moves. That it moves the right rows is exchange_contract.cc's.

namespace weft {
namespace {

// Every member of every shape that can go wrong in its own way: flat ones, first, middle and last
// nodes.
std::vector<GroupShape> Places() {
  std::vector<GroupShape> places;
  for (const auto& [nodes, per_node] : std::initializer_list<std::pair<int, int>>{
           {1, 1}, {1, 4}, {2, 2}, {4, 1}, {2, 3}, {3, 2}, {3, 3}, {4, 4}}) {
    for (int me = 0; me < nodes * per_node; ++me) places.push_back({nodes, per_node, me});
  }
  return places;
}

template <typename Check>
void ForEachPlan(const Check& check) {
  for (AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    for (const GroupShape& shape : Places()) {
      SCOPED_TRACE(testing::Message() << std::string(Name(algorithm)) << " " << shape.nodes << "x"
                                      << shape.members_per_node << " member " << shape.me);
      check(algorithm, shape);
    }
  }
}

auto CountsOf(const RowMatrix& matrix) {
  return [&matrix](int source, int destination) { return matrix.at(source, destination); };
}

TEST(ExchangePlanTest, HasTheStepsOfItsOutline) {
  ExchangePlan plan;  // reused, as in a run whose algorithm changes
  ForEachPlan([&plan](AllToAllAlgorithm algorithm, const GroupShape& shape) {
    const RowMatrix rows = MakeRows("even", shape.size(), [](int, int) { return 2; });
    plan.Build(algorithm, shape, CountsOf(rows));
    const auto outline = OutlineOf(algorithm, shape);
    ASSERT_EQ(plan.steps().size(), outline.size());
    for (size_t i = 0; i < outline.size(); ++i) {
      EXPECT_EQ(plan.steps()[i].tier, outline[i].tier);
      EXPECT_EQ(plan.steps()[i].independent, outline[i].independent);
      EXPECT_EQ(plan.steps()[i].joins, !outline[i].leaders_only || shape.local() == 0);
    }
    EXPECT_EQ(plan.input_rows(), 2 * shape.size());
    EXPECT_EQ(plan.output_rows(), 2 * shape.size());
    if (shape.flat()) {
      EXPECT_EQ(outline.size(), 1U);
      EXPECT_EQ(outline[0].tier, ExchangeTier::kGroup);
    }
  });
}

TEST(ExchangePlanTest, AsksForTheCountsThatItSaysItNeeds) {
  ForEachPlan([](AllToAllAlgorithm algorithm, const GroupShape& shape) {
    std::set<std::pair<int, int>> asked, needed;
    ExchangePlan plan;
    plan.Build(algorithm, shape, [&](int source, int destination) {
      asked.insert({source, destination});
      return int64_t{1};
    });
    for (int source = 0; source < shape.size(); ++source) {
      for (int destination = 0; destination < shape.size(); ++destination) {
        if (NeedsRows(algorithm, shape, source, destination)) needed.insert({source, destination});
      }
    }
    EXPECT_EQ(asked, needed);
  });
}

// The closed form speaks of an even load; a plan of one must say the same.
TEST(ExchangePlanTest, AnEvenLoadMovesWhatTheClosedFormSays) {
  constexpr int64_t kPairRows = 5;
  constexpr int64_t kRowBytes = 12;
  ForEachPlan([](AllToAllAlgorithm algorithm, const GroupShape& shape) {
    const RowMatrix rows = MakeRows("even", shape.size(), [](int, int) { return kPairRows; });
    ExchangePlan plan;
    plan.Build(algorithm, shape, CountsOf(rows));
    for (size_t i = 0; i < plan.steps().size(); ++i) {
      const ExchangeTraffic planned = plan.Traffic(i, kRowBytes);
      const ExchangeTraffic expected =
          ExpectedTraffic(algorithm, shape, i, static_cast<double>(kPairRows * kRowBytes));
      EXPECT_EQ(planned.messages, expected.messages) << "step " << i;
      EXPECT_EQ(planned.intra_bytes, expected.intra_bytes) << "step " << i;
      EXPECT_EQ(planned.inter_bytes, expected.inter_bytes) << "step " << i;
      EXPECT_EQ(planned.received_bytes, expected.received_bytes) << "step " << i;
    }
  });
}

// In numbers anyone can check: 2 nodes of 4, 10 bytes a pair.
TEST(ExpectedTrafficTest, OfTwoNodesOfFour) {
  const GroupShape leader{2, 4, 0};
  const GroupShape other{2, 4, 5};
  using enum AllToAllAlgorithm;
  EXPECT_EQ(ExpectedTraffic(kDirect, other, 0, 10), (ExchangeTraffic{7, 30, 40, 70}));
  EXPECT_EQ(ExpectedTraffic(kPipe, other, 0, 10), (ExchangeTraffic{3, 30, 0, 30}));
  EXPECT_EQ(ExpectedTraffic(kPipe, other, 1, 10), (ExchangeTraffic{4, 0, 40, 40}));
  EXPECT_EQ(ExpectedTraffic(k2DH, other, 0, 10), (ExchangeTraffic{3, 60, 0, 60}));
  EXPECT_EQ(ExpectedTraffic(k2DH, other, 1, 10), (ExchangeTraffic{1, 0, 40, 40}));
  EXPECT_EQ(ExpectedTraffic(k1DH, leader, 0, 10), (ExchangeTraffic{3, 30, 0, 120}));
  EXPECT_EQ(ExpectedTraffic(k1DH, leader, 1, 10), (ExchangeTraffic{1, 0, 160, 160}));
  EXPECT_EQ(ExpectedTraffic(k1DH, leader, 2, 10), (ExchangeTraffic{3, 120, 0, 30}));
  EXPECT_EQ(ExpectedTraffic(k1DH, other, 0, 10), (ExchangeTraffic{1, 40, 0, 10}));
  EXPECT_EQ(ExpectedTraffic(k1DH, other, 1, 10), (ExchangeTraffic{}));
  EXPECT_EQ(ExpectedTraffic(k1DH, other, 2, 10), (ExchangeTraffic{3, 30, 0, 60}));
}

TEST(ExchangePlanTest, CopiesNoMoreThanTheAlgorithmMust) {
  ForEachPlan([](AllToAllAlgorithm algorithm, const GroupShape& shape) {
    const RowMatrix rows = MakeRows("even", shape.size(), [](int, int) { return 4; });
    ExchangePlan plan;
    plan.Build(algorithm, shape, CountsOf(rows));
    int64_t copied = 0;
    for (const ExchangeStep& step : plan.steps()) {
      for (const auto* copies : {&step.before, &step.after}) {
        for (const RowCopy& copy : *copies) copied += copy.rows;
      }
    }
    const int64_t n = shape.nodes, g = shape.members_per_node;
    if (shape.flat() || algorithm == AllToAllAlgorithm::kDirect ||
        algorithm == AllToAllAlgorithm::kPipe) {
      EXPECT_EQ(copied, 0);
      EXPECT_EQ(plan.staging_rows(0) + plan.staging_rows(1), 0);
    } else if (algorithm == AllToAllAlgorithm::k2DH) {
      // Once before each step, and what has reached its node or never left it to the output.
      EXPECT_EQ(copied, 4 * ((g - 1) * n + (n - 1) * g + g));
      EXPECT_EQ(plan.steps()[1].recv, ExchangeBuffer::kOutput);
      EXPECT_TRUE(plan.steps()[1].after.empty());
    } else if (shape.local() != 0 && (shape.node() == 0 || shape.node() == n - 1)) {
      EXPECT_EQ(copied, 4);  // own rows
      EXPECT_EQ(plan.staging_rows(0) + plan.staging_rows(1), 0);
    }
  });
}

// Counts change every step of a run; the memory that planning takes does not.
TEST(ExchangePlanTest, RebuildingTakesNoMemory) {
  ForEachPlan([](AllToAllAlgorithm algorithm, const GroupShape& shape) {
    ExchangePlan plan;
    const RowMatrix none = MakeRows("none", shape.size(), [](int, int) { return 0; });
    plan.Build(algorithm, shape, CountsOf(none));
    const auto memory = [&plan] {
      std::vector<const void*> of;
      for (const ExchangeStep& step : plan.steps()) {
        for (const auto* blocks :
             {&step.send_rows, &step.send_begin, &step.recv_rows, &step.recv_begin}) {
          of.push_back(blocks->data());
        }
        of.push_back(step.before.data());
        of.push_back(step.after.data());
      }
      return of;
    };
    const std::vector<const void*> before = memory();
    for (const RowMatrix& rows : RowMatrices(shape.size())) {
      plan.Build(algorithm, shape, CountsOf(rows));
      EXPECT_EQ(memory(), before) << rows.name;
    }
  });
}

}  // namespace
}  // namespace weft
