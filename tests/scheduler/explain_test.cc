#include "scheduler/explain.h"

#include <gtest/gtest.h>

#include "scheduler/measured_cost_model.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    TestModel model;
    model.layers = 4;
    graph_ = BuildTestGraph(model);
    request_ = RequestFor(graph_, *costs_);
  }

  std::string Text(const PlanRequest& request) {
    plan_ = MakePlan(request).value();
    const absl::StatusOr<std::string> text = Explain(request, plan_);
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }

  static bool Says(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  StepGraph graph_;
  const std::shared_ptr<const CostModel> costs_ = BalancedCosts();
  PlanRequest request_;
  Plan plan_;
};

TEST_F(ExplainTest, SaysWhatWasComparedAndWhatHides) {
  const std::string text = Text(request_);
  for (const char* part :
       {"policy weft", "busy: compute", "bound: no order", "exposed", "r=1 ", "r=8 ", " *", "case ",
        "bound by ", "gradients, inter-node stream", "at the end: "}) {
    EXPECT_TRUE(Says(text, part)) << part << "\n" << text;
  }
  // Every layer and direction has its degree in the text, exactly once.
  size_t degrees = 0;
  for (size_t at = text.find("degree "); at != std::string::npos;
       at = text.find("degree ", at + 1)) {
    ++degrees;
  }
  EXPECT_GE(degrees, 2u);
  EXPECT_LE(degrees, plan_.degrees.size());
}

TEST_F(ExplainTest, NamesTheWindowsOfTheGradients) {
  PlanRequest request = request_;
  request.policy = "fsmoe";
  const std::string text = Text(request);
  EXPECT_TRUE(Says(text, "before combine.bwd.l")) << text;
}

TEST_F(ExplainTest, SaysWhatRunningBesideSomethingAdds) {
  EXPECT_FALSE(Says(Text(request_), "times as long"));
  ProfileTable table;
  table.contention.stretch[0][2] = 0.23;
  table.contention.stretch[2][0] = 0.001;
  const MeasuredCostModel beside(table, costs_);
  PlanRequest request = request_;
  request.costs = &beside;
  const std::string text = Text(request);
  EXPECT_TRUE(
      Says(text, "  beside inter-node communication, computation takes 1.23 times as long\n"))
      << text;
}

TEST_F(ExplainTest, SameInputsSameText) { EXPECT_EQ(Text(request_), Text(request_)); }

TEST_F(ExplainTest, EqualLayersShareTheirText) {
  PlanRequest request = request_;
  request.policy = "sequential";
  const std::string text = Text(request);
  EXPECT_TRUE(Says(text, "layers 0, 1, 2, 3 fwd: degree 1")) << text;
  EXPECT_TRUE(Says(text, "every task starts after the one before")) << text;
  EXPECT_TRUE(Says(text, "hidden 0.0 us")) << text;
}

TEST_F(ExplainTest, ExplainsAPlanWithDegreesThatAreNotCandidates) {
  PlanRequest request = request_;
  request.degrees = {5};
  const Plan plan = MakePlan(request).value();
  const absl::StatusOr<std::string> text = Explain(request_, plan);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(Says(*text, "r=5 ")) << *text;
}

TEST_F(ExplainTest, RefusesAPlanOfAnotherGraph) {
  Plan plan = MakePlan(request_).value();
  plan.graph_fingerprint ^= 1;
  EXPECT_EQ(Explain(request_, plan).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft
