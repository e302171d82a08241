#include "scheduler/policies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "scheduler/closed_forms.h"
#include "scheduler/planner.h"
#include "tests/scheduler/plan_checks.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

constexpr int64_t kLinaBytes = 30'000'000;

bool InBlock(const Op& op) { return op.cut == Cut::kEither && !IsWeightGradient(op.key.kind); }

bool CutsBlocks(const StepGraph& graph, const Plan& plan) {
  return std::any_of(plan.tasks.begin(), plan.tasks.end(), [&](const PlanTask& task) {
    return InBlock(graph.op(task.op)) && task.num_chunks > 1;
  });
}

bool WholeGradients(const StepGraph& graph, const Plan& plan) {
  return std::all_of(plan.tasks.begin(), plan.tasks.end(), [&](const PlanTask& task) {
    const Op& op = graph.op(task.op);
    return op.cut != Cut::kSlices || (task.begin == 0 && task.end == op.elements);
  });
}

// No communication of the model is issued behind a gradient.
bool GradientsLast(const StepGraph& graph, const Plan& plan) {
  bool gradients = false;
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    gradients |= op.cut == Cut::kSlices;
    if (gradients && op.cut != Cut::kSlices && op.stream != StreamKind::kCompute) return false;
  }
  return true;
}

bool AllDegreesAre(const Plan& plan, int32_t degree) {
  return std::all_of(plan.degrees.begin(), plan.degrees.end(),
                     [&](const DegreeChoice& choice) { return choice.degree == degree; });
}

// What each policy fixes, whatever it is faced with.
void CheckWhatIsFixed(const StepGraph& graph, const Plan& plan) {
  const std::map<std::string, int32_t> streams = {
      {"sequential", 1},   {"tutel", 2}, {"tutel_improved", 2}, {"lina", 2},
      {"fsmoe_no_iio", 2}, {"fsmoe", 3}, {"flowmoe", 2}};
  if (const auto fixed = streams.find(plan.policy); fixed != streams.end()) {
    EXPECT_EQ(plan.streams, fixed->second);
  }
  if (plan.policy != "flowmoe" && plan.policy != "weft") {
    EXPECT_FALSE(CutsBlocks(graph, plan));
  }
  if (plan.policy == "sequential" || plan.policy == "tutel") {
    EXPECT_TRUE(WholeGradients(graph, plan) && GradientsLast(graph, plan));
  }
  if (plan.policy == "sequential") {
    EXPECT_TRUE(AllDegreesAre(plan, 1));
  }
  if (plan.policy == "tutel_improved") {
    EXPECT_TRUE(WholeGradients(graph, plan));
  }
  for (const Op& op : graph.ops) {
    if (op.cut != Cut::kSlices || plan.policy != "lina") continue;
    const auto slices = SlicesOf(plan, op.id);
    EXPECT_EQ(slices.size() > 1, 4 * op.elements > kLinaBytes) << OpName(graph, op.id);
    for (const auto& [begin, end] : slices) EXPECT_LE(4 * (end - begin), kLinaBytes);
  }
  for (const PlanTask& task : plan.tasks) {
    if (InBlock(graph.op(task.op))) {
      EXPECT_LE(task.num_chunks, graph.sequences);
    }
  }
}

TEST(PoliciesTest, EveryPlanIsValidPredictsItselfAndIsNoFasterThanWeft) {
  const CounterRng random(1, "policies");
  const auto costs = BalancedCosts();
  for (int i = 0; i < 60; ++i) {
    TestModel model = RandomBlockModel(random, 50 * static_cast<uint64_t>(i));
    if (i % 4 == 0) model.gradient_elements *= 10;
    const StepGraph graph = BuildTestGraph(model);
    ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
    PlanRequest request = RequestFor(graph, *costs);
    request.search_tasks = 20'000;
    const Plan weft = MustPlan(request);
    for (const std::string& policy : PolicyNames()) {
      request.policy = policy;
      const Plan plan = MustPlan(request);
      CheckPlan(graph, *costs, plan);
      CheckWhatIsFixed(graph, plan);
      if (HasFailure()) FAIL() << "instance " << i << ", policy " << policy;
      EXPECT_LE(weft.predicted_seconds, plan.predicted_seconds * (1 + 1e-9)) << i << policy;
    }
  }
}

// Slices that are whole cache lines must not exceed the limit by what rounding moves.
TEST(PoliciesTest, LinasSlicesKeepTheirLimitAtItsMultiples) {
  const auto costs = BalancedCosts();
  for (const int64_t limits : {1, 2, 3, 7}) {
    for (const int64_t more : {-1, 0, 1}) {
      TestModel model;
      model.gradient_elements = limits * kLinaBytes / 4 + more;
      const StepGraph graph = BuildTestGraph(model);
      PlanRequest request = RequestFor(graph, *costs);
      request.policy = "lina";
      CheckWhatIsFixed(graph, MustPlan(request));
    }
  }
}

// Every policy that adds a freedom to another one makes use of it on some model.
TEST(PoliciesTest, EveryFreedomPaysSomewhere) {
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"sequential", "tutel"},   {"tutel", "tutel_improved"}, {"tutel", "lina"},
      {"tutel", "fsmoe_no_iio"}, {"fsmoe_no_iio", "fsmoe"},   {"tutel", "flowmoe"},
      {"fsmoe", "weft"},         {"flowmoe", "weft"}};
  std::vector<int> faster(steps.size(), 0);
  const CounterRng random(2, "policies");
  const auto costs = BalancedCosts();
  for (int i = 0; i < 30; ++i) {
    const StepGraph graph = BuildTestGraph(RandomBlockModel(random, 50 * static_cast<uint64_t>(i)));
    PlanRequest request = RequestFor(graph, *costs);
    request.search_tasks = 5'000;
    std::map<std::string, double> seconds;
    for (const std::string& policy : PolicyNames()) {
      request.policy = policy;
      seconds[policy] = MustPlan(request).predicted_seconds;
    }
    for (size_t k = 0; k < steps.size(); ++k) {
      faster[k] += seconds[steps[k].second] < seconds[steps[k].first] * (1 - 1e-3);
    }
  }
  for (size_t k = 0; k < steps.size(); ++k) {
    EXPECT_GT(faster[k], 5) << steps[k].second << " over " << steps[k].first;
  }
}

TEST(PoliciesTest, WholeBlocksEnterThePipelineWhenItPays) {
  TestModel model;
  model.layers = 3;
  model.attention_flops = 8e8;  // attention outlasts the experts: without it nothing hides behind
  model.sequences = 4;
  model.cut_blocks = true;
  const auto costs = BalancedCosts();
  const auto plan_of = [&](const StepGraph& graph, const std::string& policy) {
    PlanRequest request = RequestFor(graph, *costs);
    request.policy = policy;
    return MustPlan(request);
  };
  const StepGraph cut = BuildTestGraph(model);
  for (const std::string policy : {"flowmoe", "weft"}) {
    PlanRequest request = RequestFor(cut, *costs);
    request.policy = policy;
    const Plan whole =
        MustPlan(request, {"pipeline_blocks", "serve_by_priority", "best_of_policies"});
    EXPECT_FALSE(CutsBlocks(cut, whole)) << policy;
    const Plan plan = plan_of(cut, policy);
    EXPECT_TRUE(CutsBlocks(cut, plan)) << policy;
    EXPECT_LT(plan.predicted_seconds, 0.95 * whole.predicted_seconds) << policy;
  }
  // One block is cut as a whole, into the pieces of its pipeline.
  const Plan plan = plan_of(cut, "flowmoe");
  for (const PlanTask& task : plan.tasks) {
    const Op& op = cut.op(task.op);
    if (InBlock(op)) {
      EXPECT_EQ(task.num_chunks, DegreeOf(plan, op.layer, op.direction()));
    }
  }
  model.sequences = 1;
  const StepGraph one = BuildTestGraph(model);
  EXPECT_FALSE(CutsBlocks(one, plan_of(one, "flowmoe")));
  EXPECT_FALSE(CutsBlocks(one, plan_of(one, "weft")));
  model.sequences = 4;
  // Nothing to hide, and every piece costs a start.
  model.attention_flops = model.expert_flops = model.dispatch_bytes = 1e3;
  const StepGraph idle = BuildTestGraph(model);
  EXPECT_FALSE(CutsBlocks(idle, plan_of(idle, "flowmoe")));
}

// --- one layer alone: the closed forms ---

// alpha + beta * size for each kind; free for kinds that are not listed.
class CostsByKind final : public CostModel {
 public:
  CostEstimate Estimate(const CostKey& key, double size) const override {
    const auto found = lines.find(key.kind);
    if (found == lines.end()) return {};
    return {found->second.first + found->second.second * size, 0, false};
  }
  std::map<OpKind, std::pair<double, double>> lines;
};

// A backward pipeline with a gradient that is there before it, and nothing else that costs time.
StepGraph OneLayer(int64_t elements) {
  StepGraph graph;
  graph.num_layers = 1;
  const auto add = [&](OpKind kind, StreamKind stream, Cut cut, std::vector<OpId> needs) {
    Op op;
    op.id = OpId{static_cast<int32_t>(graph.ops.size())};
    op.key.kind = kind;
    op.key.direction = Direction::kBackward;
    op.stream = stream;
    op.layer = cut == Cut::kWhole ? -1 : 0;
    op.cut = cut;
    op.size = 1;
    op.elements = cut == Cut::kSlices ? elements : 0;
    op.needs = std::move(needs);
    graph.ops.push_back(op);
    return op.id;
  };
  const OpId head = add(OpKind::kHead, StreamKind::kCompute, Cut::kWhole, {});
  OpId last = add(OpKind::kDispatch, StreamKind::kInter, Cut::kChunks, {head});
  last = add(OpKind::kEspAllGather, StreamKind::kIntra, Cut::kChunks, {last});
  last = add(OpKind::kExpert, StreamKind::kCompute, Cut::kChunks, {last});
  last = add(OpKind::kEspReduceScatter, StreamKind::kIntra, Cut::kChunks, {last});
  last = add(OpKind::kCombine, StreamKind::kInter, Cut::kChunks, {last});
  const OpId reduce = add(OpKind::kGradAllReduce, StreamKind::kInter, Cut::kSlices, {head});
  add(OpKind::kGradNorm, StreamKind::kCompute, Cut::kWhole, {last, reduce});
  return graph;
}

TEST(PoliciesTest, OneLayerAloneTakesWhatTheClosedFormsSay) {
  constexpr int64_t kElements = 1'000'000;
  const CounterRng random(3, "policies");
  uint64_t draw = 0;
  int free = 0;
  int squeezed = 0;
  for (int i = 0; i < 300; ++i) {
    CostsByKind costs;
    const auto line = [&](double middle) {
      const double beta = middle * std::pow(10, 1.5 * random.Uniform(draw++) - 0.75);
      return std::pair(0.1 * random.Uniform(draw++), beta);
    };
    costs.lines[OpKind::kDispatch] = costs.lines[OpKind::kCombine] = line(1);
    costs.lines[OpKind::kEspAllGather] = line(1);
    costs.lines[OpKind::kExpert] = line(2);
    costs.lines[OpKind::kEspReduceScatter] = line(1);
    const std::pair<double, double> gradient = line(1);
    costs.lines[OpKind::kGradAllReduce] = gradient;
    const double gamma = gradient.first + gradient.second;
    const StepGraph graph = OneLayer(kElements);
    ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
    PlanRequest request = RequestFor(graph, costs);

    double one_stream = std::numeric_limits<double>::infinity();
    double pipeline = one_stream;
    double pipeline_with_gamma = one_stream;
    bool fits = false;  // into the window of the best degree without a gradient
    for (const int32_t r : request.degrees) {
      const auto chunk = [&](OpKind kind) {
        return costs.lines[kind].first + costs.lines[kind].second / r;
      };
      LayerTimes times{chunk(OpKind::kDispatch), chunk(OpKind::kEspAllGather),
                       chunk(OpKind::kExpert), chunk(OpKind::kEspReduceScatter), 0};
      one_stream = std::min(one_stream, OneStreamSeconds(times, r));
      const double alone = PipelineSeconds(times, r);
      if (alone < pipeline) {
        pipeline = alone;
        fits = gamma < alone - 2 * r * times.a;
      }
      times.gamma = gamma;
      pipeline_with_gamma = std::min(pipeline_with_gamma, PipelineSeconds(times, r));
    }
    request.policy = "tutel";
    ASSERT_NEAR(MustPlan(request).predicted_seconds, one_stream + gamma, 1e-9 * one_stream) << i;
    request.policy = "fsmoe";
    const double fsmoe = MustPlan(request).predicted_seconds;
    ASSERT_GE(fsmoe, pipeline_with_gamma * (1 - 1e-9)) << i;
    if (fits) {
      ++free;
      ASSERT_NEAR(fsmoe, pipeline, 1e-9 * pipeline) << i;
    } else {
      // Another start, and what the partition's grid and the slices' boundary leave for the end.
      ++squeezed;
      const double quantum = 1.0 / 64 + 2.0 * kSliceBoundary / kElements;
      ASSERT_LE(fsmoe, pipeline_with_gamma + 2 * gradient.first + quantum * gradient.second + 1e-9)
          << i;
    }
  }
  EXPECT_GT(free, 30);
  EXPECT_GT(squeezed, 30);
}

}  // namespace
}  // namespace weft
