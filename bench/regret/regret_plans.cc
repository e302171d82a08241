// The plan of `weft` for a finished run's model and measured costs, and the best of all plans:
// every choice of degrees and of blocks cut or not, five ways to slice gradients, every order.
//
//   regret_plans RUN DIRECTORY DEGREE...
//
// writes DIRECTORY/chosen.json and DIRECTORY/optimal.json and prints one JSON object. Contention is
// left out of both: the exhaustive search takes tasks alone. One layer, or two with few degrees.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "graph/plan.h"
#include "graph/profile_table.h"
#include "launch/config/config.h"
#include "launch/job_file.h"
#include "models/build_step_graph.h"
#include "runtime/batch_shape_of.h"
#include "runtime/storage/durable_file.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/issue_order.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/optimal_order.h"
#include "scheduler/planner.h"

namespace weft {
namespace {

using Slices = std::vector<std::vector<DraftSlice>>;

Slices SlicesOf(const StepModel& model, const Plan& plan) {
  Slices slices;
  for (const GradientChain& chain : model.chains()) {
    slices.emplace_back();
    for (const PlanTask& task : plan.tasks) {
      if (task.op == chain.ops.front())
        slices.back().push_back(DraftSlice{task.begin, task.end, OpId{}});
    }
    std::sort(slices.back().begin(), slices.back().end(),
              [](const DraftSlice& a, const DraftSlice& b) { return a.begin < b.begin; });
  }
  return slices;
}

class Exhaustive {
 public:
  Exhaustive(const StepModel& model, const Plan& plan) : model_(model), best_(plan) {}

  Plan Run() {
    PlanDraft draft = MakeDraft(model_);
    for (const AllToAllChoice& choice : best_.all_to_alls)
      draft.all_to_alls[static_cast<size_t>(choice.layer)] = choice.algorithm;
    draft.service = Service::kGradientsYield;  // all that tasks need
    const std::vector<Slices> slicings = {SlicesOf(model_, best_), draft.slices,
                                          SlicesInTwo(model_, 0.5), SlicesInTwo(model_, 0.25),
                                          SlicesInTwo(model_, 0.75)};
    for (const Slices& slices : slicings) {
      draft.slices = slices;
      Choose(draft, 0);
    }
    return best_;
  }
  int64_t choices() const { return choices_; }

 private:
  void Choose(PlanDraft& draft, size_t slot) {
    if (slot == draft.slots.size()) return Order(draft);
    for (const int32_t degree : model_.degrees()) {
      for (const bool cut : {false, true}) {
        const bool can_cut =
            model_.slots()[slot].has_block && degree > 1 && degree <= model_.graph().block_pieces;
        if (cut && !can_cut) continue;
        draft.slots[slot].degree = degree;
        draft.slots[slot].cut_block = cut;
        Choose(draft, slot + 1);
      }
    }
  }

  void Order(const PlanDraft& draft) {
    ++choices_;
    const IssueOrder issued = MakeIssueOrder(model_, draft);
    std::vector<int32_t> order;
    // Numbered as issued: the draft's own service has reordered them, needs are still first.
    const double seconds = optimal_.Seconds(issued.schedule, best_.predicted_seconds, &order);
    if (seconds >= best_.predicted_seconds) return;
    best_.predicted_seconds = seconds;
    best_.streams = kNumStreams;
    best_.degrees.clear();
    for (size_t i = 0; i < draft.slots.size(); ++i) {
      const DegreeSlot& slot = model_.slots()[i];
      best_.degrees.push_back({slot.layer, slot.direction, draft.slots[i].degree});
    }
    best_.tasks.clear();
    std::vector<double> begin, end;
    const Schedule ordered = Reordered(issued.schedule, order);
    RunSchedule(ordered, begin, end);
    for (size_t i = 0; i < order.size(); ++i) {
      best_.tasks.push_back(issued.tasks[static_cast<size_t>(order[i])]);
      best_.tasks.back().predicted_begin = begin[i];
      best_.tasks.back().predicted_seconds = end[i] - begin[i];
    }
  }

  const StepModel& model_;
  Plan best_;
  OptimalOrder optimal_;
  int64_t choices_ = 0;
};

absl::Status Run(const std::string& run, const std::string& directory,
                 const std::vector<int32_t>& degrees) {
  WEFT_ASSIGN_OR_RETURN(const LoadedConfig config, LoadConfig(run + "/config.yaml", {}));
  WEFT_ASSIGN_OR_RETURN(const JobShape shape, LoadJobFile(run));
  const JobOptions& o = config.options;
  const BatchShape batch = BatchShapeOf(o.training, shape.topology);
  const StepGraph graph =
      BuildStepGraph(o.model, shape.topology, shape.layout, batch, StepKind::kTraining);
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(run + "/profile.json"));
  WEFT_ASSIGN_OR_RETURN(ProfileTable profile, ProfileFromJson(text));
  profile.contention = {};
  const MeasuredCostModel costs(profile,
                                std::make_shared<const AnalyticCostModel>(MachineSpeeds{}));
  PlanRequest request;
  request.graph = &graph;
  request.costs = &costs;
  request.degrees = degrees;
  WEFT_ASSIGN_OR_RETURN(const Plan chosen, MakePlan(request));
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<const StepModel> model,
                        StepModel::Make(graph, costs, degrees, {}));
  Exhaustive exhaustive(*model, chosen);
  const Plan optimal = exhaustive.Run();
  WEFT_RETURN_IF_ERROR(ValidatePlan(graph, optimal));
  WEFT_RETURN_IF_ERROR(WriteFileAtomically(directory + "/chosen.json", PlanToJson(graph, chosen)));
  WEFT_RETURN_IF_ERROR(
      WriteFileAtomically(directory + "/optimal.json", PlanToJson(graph, optimal)));
  const nlohmann::json out = {{"tasks", chosen.tasks.size()},
                              {"choices", exhaustive.choices()},
                              {"chosen_seconds", chosen.predicted_seconds},
                              {"optimal_seconds", optimal.predicted_seconds},
                              {"regret", chosen.predicted_seconds / optimal.predicted_seconds - 1}};
  std::printf("%s\n", out.dump().c_str());
  return absl::OkStatus();
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  std::vector<int32_t> degrees;
  for (int i = 3; i < argc; ++i) {
    int32_t degree = 0;
    if (absl::SimpleAtoi(argv[i], &degree)) degrees.push_back(degree);
  }
  if (argc < 4 || static_cast<int>(degrees.size()) != argc - 3) {
    std::fprintf(stderr, "usage: regret_plans RUN DIRECTORY DEGREE...\n");
    return 2;
  }
  const absl::Status status = weft::Run(argv[1], argv[2], degrees);
  if (status.ok()) return 0;
  std::fprintf(stderr, "regret_plans: %s\n", std::string(status.message()).c_str());
  return 2;
}
