#include "scheduler/explain.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "scheduler/layer_candidates.h"
#include "scheduler/simulate.h"
#include "scheduler/stream_use.h"

namespace weft {
namespace {

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

double Percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

bool IsGradient(const Op& op) { return op.cut == Cut::kSlices; }

std::string DescribeStep(const StepGraph& graph, const Plan& plan, const SimulatedStep& step,
                         const CostModel& costs) {
  const StreamUse overlap = StreamUseOf(graph, plan, TraceOf(graph, plan, step));
  const std::array<double, kNumStreams> alone = AloneSeconds(graph, plan, costs);
  const double bound = *std::max_element(alone.begin(), alone.end());
  std::string text =
      absl::StrCat("plan epoch ", plan.epoch, ", policy ", plan.policy, ", ", plan.tasks.size(),
                   " tasks: predicted step ", FormatSeconds(step.seconds), "\n");
  absl::StrAppend(&text, "  busy: compute ", FormatSeconds(overlap.busy[0]), ", intra-node ",
                  FormatSeconds(overlap.busy[1]), ", inter-node ", FormatSeconds(overlap.busy[2]),
                  ", nothing ", FormatSeconds(overlap.idle), "\n");
  absl::StrAppend(
      &text, "  bound: no order ends before its busiest stream, ", FormatSeconds(bound),
      absl::StrFormat("; this plan is %.1f%% above it\n", Percent(step.seconds - bound, bound)));
  const double ordered = LowerBoundOf(graph, plan, costs);
  absl::StrAppend(
      &text, "  as its tasks need one another, no order of them ends before ",
      FormatSeconds(ordered),
      absl::StrFormat("; it is %.1f%% above that\n", Percent(step.seconds - ordered, ordered)));
  absl::StrAppend(
      &text, "  communication: ", FormatSeconds(overlap.communication), ", hidden ",
      FormatSeconds(overlap.hidden()), ", exposed ", FormatSeconds(overlap.exposed),
      absl::StrFormat(" (%.1f%% of the step)\n", Percent(overlap.exposed, step.seconds)));
  if (plan.streams == 1)
    absl::StrAppend(&text, "  every task starts after the one before has ended\n");
  if (plan.streams == 2) absl::StrAppend(&text, "  both kinds of communication share one stream\n");
  if (plan.sm_limit > 0) {
    absl::StrAppend(&text, "  a collective takes at most ", plan.sm_limit,
                    " multiprocessors from the products beside it\n");
  }
  return text;
}

// One line: what running beside one another adds, where that is noticeable.
std::string DescribeContention(const Contention& contention) {
  constexpr double kNoticeable = 0.005;
  constexpr std::array<absl::string_view, kNumStreams> kWork = {
      "computation", "intra-node communication", "inter-node communication"};
  std::vector<std::string> parts;
  for (size_t s = 0; s < kNumStreams; ++s) {
    for (size_t t = 0; t < kNumStreams; ++t) {
      if (contention.stretch[s][t] < kNoticeable) continue;
      parts.push_back(
          absl::StrCat("beside ", kWork[t], ", ", kWork[s],
                       absl::StrFormat(" takes %.2f times as long", 1 + contention.stretch[s][t])));
    }
  }
  return parts.empty() ? "" : absl::StrCat("  ", absl::StrJoin(parts, "; "), "\n");
}

// Seconds of gradient slices on the inter-node stream just before the combine of one pipeline.
double GradientBeforeCombine(const StepGraph& graph, const Plan& plan, const SimulatedStep& step,
                             const Pipeline& pipeline) {
  double waiting = 0;
  const Op& of = graph.op(pipeline.stages.front());
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const Op& op = graph.op(plan.tasks[i].op);
    if (op.stream != StreamKind::kInter) continue;
    if (IsGradient(op)) {
      waiting += step.length[i];
    } else if (op.key.kind == OpKind::kCombine && op.layer == of.layer &&
               op.direction() == of.direction() && op.micro_batch == of.micro_batch) {
      return waiting;
    } else {
      waiting = 0;
    }
  }
  return 0;
}

// Whether some scatter of the pipeline is issued before one of its gathers.
bool ServedByReadiness(const StepGraph& graph, const Plan& plan, const StepModel& model,
                       int32_t pipeline) {
  bool scattered = false;
  for (const PlanTask& task : plan.tasks) {
    if (model.PipelineOf(task.op) != pipeline) continue;
    const OpKind kind = graph.op(task.op).key.kind;
    if (kind == OpKind::kEspReduceScatter) scattered = true;
    if (kind == OpKind::kEspAllGather && scattered) return true;
  }
  return false;
}

std::string DescribeSlot(const StepGraph& graph, const Plan& plan, const SimulatedStep& step,
                         const StepModel& model, size_t index) {
  const DegreeSlot& slot = model.slots()[index];
  const int32_t pipeline = slot.pipelines.back();  // of the last micro-batch: it hosts the slices
  const double gamma =
      GradientBeforeCombine(graph, plan, step, model.pipelines()[static_cast<size_t>(pipeline)]);
  const int32_t chosen = DegreeOf(plan, slot.layer, slot.direction);
  const AllToAllAlgorithm algorithm = AlgorithmOf(plan, slot.layer);
  const bool ready = ServedByReadiness(graph, plan, model, pipeline);
  const LayerOrder order = ready ? LayerOrder::kReadyFirst : OrderUnder(plan.streams);
  const std::vector<LayerCandidate> candidates =
      CandidatesOf(model, index, algorithm, order, gamma);
  const LayerCandidate* best = &candidates.front();
  const LayerCandidate* taken = best;
  std::vector<std::string> times;
  for (const LayerCandidate& candidate : candidates) {
    if (candidate.seconds < best->seconds) best = &candidate;
    if (candidate.degree == chosen) taken = &candidate;
    times.push_back(absl::StrCat("r=", candidate.degree, " ", FormatSeconds(candidate.seconds),
                                 candidate.degree == chosen ? " *" : ""));
  }
  const bool chooses =
      std::binary_search(model.choosers().begin(), model.choosers().end(), slot.layer);
  const std::string ways = chooses ? absl::StrCat(", all-to-all ", View(Name(algorithm))) : "";
  std::string text =
      absl::StrCat("degree ", chosen, ways, ready ? ", intra-node served by readiness" : "",
                   "\n    alone: ", absl::StrJoin(times, ", "), "\n");
  if (gamma > 0) {
    absl::StrAppend(&text, "    with ", FormatSeconds(gamma), " of gradients before its combine\n");
  }
  const int label = CaseLabel(TimesOf(model, index, algorithm, chosen, gamma), chosen);
  absl::StrAppend(&text, "    case ", label, ", bound by ", View(CaseMeaning(label)), "; ");
  if (plan.streams == 1) {
    absl::StrAppend(&text, "not overlapped under this policy\n");
  } else if (taken->seconds <= best->seconds) {
    absl::StrAppend(&text, "the fastest of its candidates\n");
  } else {
    absl::StrAppend(&text, "alone r=", best->degree,
                    absl::StrFormat(" is %.1f%% faster, the whole step is not\n",
                                    Percent(taken->seconds - best->seconds, taken->seconds)));
  }
  return text;
}

std::string DescribePipelines(const StepGraph& graph, const Plan& plan, const SimulatedStep& step,
                              const StepModel& model) {
  std::vector<std::pair<std::string, std::vector<int32_t>>>
      texts;  // text -> layers, first seen first
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    for (size_t i = 0; i < model.slots().size(); ++i) {
      if (model.slots()[i].direction != direction || model.slots()[i].pipelines.empty()) continue;
      std::string text =
          absl::StrCat(View(Name(direction)), ": ", DescribeSlot(graph, plan, step, model, i));
      const auto known = std::find_if(texts.begin(), texts.end(),
                                      [&](const auto& entry) { return entry.first == text; });
      if (known != texts.end()) {
        known->second.push_back(model.slots()[i].layer);
      } else {
        texts.emplace_back(std::move(text), std::vector<int32_t>{model.slots()[i].layer});
      }
    }
  }
  std::string result;
  for (const auto& entry : texts) {
    absl::StrAppend(&result, entry.second.size() > 1 ? "layers " : "layer ",
                    absl::StrJoin(entry.second, ", "), " ", entry.first);
  }
  return result;
}

// Gradient slices on the inter-node stream (on the intra-node one in a job of one node), by what
// they are issued before.
std::string DescribeSlices(const StepGraph& graph, const Plan& plan, const SimulatedStep& step) {
  const bool across_nodes = std::any_of(graph.ops.begin(), graph.ops.end(), [](const Op& op) {
    return IsGradient(op) && op.stream == StreamKind::kInter;
  });
  const StreamKind stream = across_nodes ? StreamKind::kInter : StreamKind::kIntra;
  std::string text;
  std::vector<std::string> waiting;
  double seconds = 0;
  const auto flush = [&](absl::string_view before) {
    if (waiting.empty()) return;
    absl::StrAppend(&text, "  ", before, ": ", FormatSeconds(seconds), ": ",
                    absl::StrJoin(waiting, ", "), "\n");
    waiting.clear();
    seconds = 0;
  };
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const Op& op = graph.op(plan.tasks[i].op);
    if (op.stream != stream) continue;
    if (IsGradient(op)) {
      waiting.push_back(TaskName(graph, plan.tasks[i]));
      seconds += step.length[i];
    } else {
      flush(absl::StrCat("before ", TaskName(graph, plan.tasks[i])));
    }
  }
  flush("at the end");
  return text.empty() ? text
                      : absl::StrCat("gradients, ", View(Name(stream)), "-node stream\n", text);
}

}  // namespace

absl::StatusOr<std::string> Explain(const PlanRequest& request, const Plan& plan) {
  if (request.graph == nullptr || request.costs == nullptr) {
    return absl::InvalidArgumentError("an explanation needs a step graph and a cost model");
  }
  const StepGraph& graph = *request.graph;
  WEFT_RETURN_IF_ERROR(ValidatePlan(graph, plan));
  std::vector<int32_t> degrees;
  for (const int32_t degree : request.degrees) {
    if (degree >= 1) degrees.push_back(degree);
  }
  for (const DegreeChoice& choice : plan.degrees) degrees.push_back(choice.degree);
  std::sort(degrees.begin(), degrees.end());
  degrees.erase(std::unique(degrees.begin(), degrees.end()), degrees.end());
  if (degrees.empty()) degrees.push_back(1);
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<const StepModel> model,
                        StepModel::Make(graph, *request.costs, degrees, plan.placements));
  const SimulatedStep step = Simulate(graph, plan, *request.costs);
  return absl::StrCat(
      DescribeStep(graph, plan, step, *request.costs), DescribeContention(model->contention()),
      DescribePipelines(graph, plan, step, *model), DescribeSlices(graph, plan, step));
}

}  // namespace weft
