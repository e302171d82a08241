#include "graph/plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

// The tasks of every operation, each list sorted by chunk or by slice.
std::vector<std::vector<int32_t>> TasksByOp(const StepGraph& graph, const Plan& plan) {
  std::vector<std::vector<int32_t>> tasks_of(graph.ops.size());
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    tasks_of[static_cast<size_t>(plan.tasks[i].op.value)].push_back(static_cast<int32_t>(i));
  }
  for (std::vector<int32_t>& tasks : tasks_of) {
    std::sort(tasks.begin(), tasks.end(), [&](int32_t a, int32_t b) {
      const PlanTask& x = plan.tasks[static_cast<size_t>(a)];
      const PlanTask& y = plan.tasks[static_cast<size_t>(b)];
      return std::tie(x.chunk, x.begin, x.end, a) < std::tie(y.chunk, y.begin, y.end, b);
    });
  }
  return tasks_of;
}

// The one task of `tasks` that covers the same piece as `task`, or -1.
int32_t SamePiece(const StepGraph& graph, const Plan& plan, const PlanTask& task, Cut cut,
                  const std::vector<int32_t>& tasks) {
  const Cut own = graph.op(task.op).cut;
  if (tasks.empty() || cut == Cut::kWhole || own == Cut::kWhole) return -1;
  if ((cut == Cut::kSlices) != (own == Cut::kSlices)) return -1;
  const auto at = [&](int32_t i) -> const PlanTask& { return plan.tasks[static_cast<size_t>(i)]; };
  if (cut != Cut::kSlices) {
    const bool same_degree = at(tasks.front()).num_chunks == task.num_chunks;
    return same_degree ? tasks[static_cast<size_t>(task.chunk)] : -1;
  }
  const auto found =
      std::lower_bound(tasks.begin(), tasks.end(), task.begin,
                       [&](int32_t i, int64_t begin) { return at(i).begin < begin; });
  const bool same =
      found != tasks.end() && at(*found).begin == task.begin && at(*found).end == task.end;
  return same ? *found : -1;
}

// None: at home.
const PlacementChoice* FindPlacement(const Plan& plan, int32_t layer) {
  const auto found = std::lower_bound(
      plan.placements.layers.begin(), plan.placements.layers.end(), layer,
      [](const PlacementChoice& choice, int32_t wanted) { return choice.layer < wanted; });
  return found != plan.placements.layers.end() && found->layer == layer ? &*found : nullptr;
}

absl::Status Invalid(const StepGraph& graph, const PlanTask& task, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("plan: task ", TaskName(graph, task), " ", why));
}

// What can be said of a task without looking at the others.
absl::Status CheckTask(const StepGraph& graph, const Plan& plan, const PlanTask& task) {
  const Op& op = graph.op(task.op);
  if (op.away && !Has(plan, op))
    return Invalid(graph, task, "moves experts of a layer where all are at home");
  if (op.shards && !Has(plan, op))
    return Invalid(graph, task, "gathers shards of a layer where every rank has its own only");
  if (!Has(plan, op)) {
    const std::string_view chosen = Name(AlgorithmOf(plan, op.layer));
    return Invalid(graph, task,
                   absl::StrCat("is not part of the layer's all-to-all, ",
                                absl::string_view(chosen.data(), chosen.size())));
  }
  if (op.cut == Cut::kSlices) {
    if (task.chunk != 0 || task.num_chunks != 1)
      return Invalid(graph, task, "has chunks, not slices");
    if (task.begin < 0 || task.end <= task.begin || task.end > op.elements) {
      return Invalid(graph, task,
                     absl::StrCat("must be a part of [0:", op.elements, "] that is not empty"));
    }
  } else {
    if (task.begin != 0 || task.end != 0) return Invalid(graph, task, "cannot be cut into slices");
    const int32_t chunks = op.cut == Cut::kWhole ? 1 : DegreeOf(plan, op.layer, op.direction());
    const bool whole = op.cut == Cut::kEither && task.num_chunks == 1;
    if (task.num_chunks != chunks && !whole) {
      return Invalid(graph, task,
                     absl::StrCat("must be cut into ", chunks, " chunks, not ", task.num_chunks));
    }
    if (task.chunk < 0 || task.chunk >= task.num_chunks) {
      return Invalid(graph, task, absl::StrCat("must be one of chunks 0 to ", task.num_chunks - 1));
    }
  }
  if (!std::isfinite(task.predicted_begin) || task.predicted_begin < 0 ||
      !std::isfinite(task.predicted_seconds) || task.predicted_seconds < 0) {
    return Invalid(graph, task, "has a prediction that is not a number of seconds >= 0");
  }
  return absl::OkStatus();
}

// Whether the sorted tasks of an operation cover it exactly once; each has passed CheckTask.
absl::Status CheckCover(const StepGraph& graph, const Plan& plan, const Op& op,
                        const std::vector<int32_t>& tasks) {
  int64_t covered = 0;
  for (const int32_t i : tasks) {
    const PlanTask& task = plan.tasks[static_cast<size_t>(i)];
    const int64_t begin = op.cut == Cut::kSlices ? task.begin : task.chunk;
    if (begin < covered) return Invalid(graph, task, "covers what another task covers");
    if (begin > covered) break;
    covered = op.cut == Cut::kSlices ? task.end : covered + 1;
  }
  int64_t whole = 1;
  if (op.cut == Cut::kSlices) whole = op.elements;
  if (op.cut == Cut::kChunks) whole = DegreeOf(plan, op.layer, op.direction());
  if (op.cut == Cut::kEither && !tasks.empty()) {
    whole = plan.tasks[static_cast<size_t>(tasks.front())].num_chunks;
  }
  if (covered == whole) return absl::OkStatus();
  const absl::string_view unit = op.cut == Cut::kSlices ? "element" : "chunk";
  return absl::InvalidArgumentError(
      absl::StrCat("plan: no task covers ", unit, " ", covered, " of ", OpName(graph, op.id)));
}

absl::Status CheckAllToAlls(const StepGraph& graph, const Plan& plan) {
  int32_t previous = -1;
  for (const AllToAllChoice& choice : plan.all_to_alls) {
    if (choice.layer <= previous || choice.layer >= graph.num_layers) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: all_to_alls must be sorted by layer, one each, for layers 0 to ",
                       graph.num_layers - 1, "; layer ", choice.layer, " is not"));
    }
    previous = choice.layer;
  }
  return absl::OkStatus();
}

absl::Status CheckDegrees(const StepGraph& graph, const Plan& plan) {
  const DegreeChoice* previous = nullptr;
  for (const DegreeChoice& choice : plan.degrees) {
    if (choice.layer < 0 || choice.layer >= graph.num_layers || choice.degree < 1 ||
        choice.direction == Direction::kNone) {
      return absl::InvalidArgumentError(absl::StrCat(
          "plan: degree ", choice.degree, " of layer ", choice.layer,
          " must be >= 1, for a layer of 0 to ", graph.num_layers - 1, " and a direction"));
    }
    if (previous != nullptr && std::tie(previous->layer, previous->direction) >=
                                   std::tie(choice.layer, choice.direction)) {
      return absl::InvalidArgumentError(
          "plan: degrees must be sorted by layer and direction, one each");
    }
    previous = &choice;
  }
  return absl::OkStatus();
}

// Attention, gate and what stands beside them are cut together: a pipeline through half a block
// would hand samples to rows.
absl::Status CheckBlocks(const StepGraph& graph, const Plan& plan,
                         const std::vector<std::vector<int32_t>>& tasks_of) {
  std::map<std::tuple<int32_t, Direction>, int32_t> chunks_of;
  for (const Op& op : graph.ops) {
    if (op.cut != Cut::kEither || IsWeightGradient(op.key.kind) || !Has(plan, op)) continue;
    const PlanTask& task =
        plan.tasks[static_cast<size_t>(tasks_of[static_cast<size_t>(op.id.value)].front())];
    const auto [known, added] =
        chunks_of.emplace(std::tuple(op.layer, op.direction()), task.num_chunks);
    if (task.num_chunks > graph.block_pieces) {
      return Invalid(graph, task,
                     absl::StrCat("must be cut into at most ", graph.block_pieces, " pieces, not ",
                                  task.num_chunks));
    }
    if (!added && known->second != task.num_chunks) {
      return Invalid(
          graph, task,
          absl::StrCat("must be cut like the rest of its block, into ", known->second, " chunks"));
    }
  }
  return absl::OkStatus();
}

// The operations of one gradient hand a slice on: what a rank has reduced of another slice is not
// what the next operation sends.
absl::Status CheckSlices(const StepGraph& graph, const Plan& plan, const Op& op,
                         const std::vector<std::vector<int32_t>>& tasks_of) {
  if (op.cut != Cut::kSlices) return absl::OkStatus();
  for (const OpId need : op.needs) {
    if (graph.op(need).cut != Cut::kSlices) continue;
    for (const int32_t i : tasks_of[static_cast<size_t>(op.id.value)]) {
      const PlanTask& task = plan.tasks[static_cast<size_t>(i)];
      const std::vector<int32_t>& before = tasks_of[static_cast<size_t>(need.value)];
      if (SamePiece(graph, plan, task, Cut::kSlices, before) >= 0) continue;
      return Invalid(graph, task,
                     absl::StrCat("must be a slice of ", OpName(graph, need), ", too"));
    }
  }
  return absl::OkStatus();
}

bool ExpertsCanMove(const StepGraph& graph, int32_t layer) {
  return std::any_of(graph.ops.begin(), graph.ops.end(),
                     [layer](const Op& op) { return op.away && op.layer == layer; });
}

absl::Status CheckHomes(const StepGraph& graph, const std::vector<HomeChoice>& homes) {
  int32_t previous = -1;
  for (const HomeChoice& choice : homes) {
    if (choice.layer <= previous || !ExpertsCanMove(graph, choice.layer)) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: homes must be sorted by layer, one each, for layers whose experts "
                       "can move; layer ",
                       choice.layer, " is not"));
    }
    previous = choice.layer;
    if (choice.experts.size() != static_cast<size_t>(graph.experts)) {
      return absl::InvalidArgumentError(absl::StrCat("plan: layer ", choice.layer, " has ",
                                                     graph.experts, " homes, not ",
                                                     choice.experts.size()));
    }
    const auto made = ExpertHomes::Make(choice.experts);
    if (!made.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: layer ", choice.layer, ": ", made.status().message()));
    }
    if (made->as_configured()) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: the experts of layer ", choice.layer,
                       " live where the configuration says: name no homes"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StreamKind StreamUnder(int32_t streams, StreamKind stream) {
  if (streams == 1) return StreamKind::kCompute;
  return streams == 2 && stream == StreamKind::kIntra ? StreamKind::kInter : stream;
}

int32_t DegreeOf(const Plan& plan, int32_t layer, Direction direction) {
  const auto found = std::lower_bound(
      plan.degrees.begin(), plan.degrees.end(), std::tie(layer, direction),
      [](const DegreeChoice& choice, const std::tuple<const int32_t&, const Direction&>& key) {
        return std::tie(choice.layer, choice.direction) < key;
      });
  const bool named =
      found != plan.degrees.end() && found->layer == layer && found->direction == direction;
  return named ? found->degree : 1;
}

AllToAllAlgorithm AlgorithmOf(const Plan& plan, int32_t layer) {
  const auto found = std::lower_bound(
      plan.all_to_alls.begin(), plan.all_to_alls.end(), layer,
      [](const AllToAllChoice& choice, int32_t wanted) { return choice.layer < wanted; });
  const bool named = found != plan.all_to_alls.end() && found->layer == layer;
  return named ? found->algorithm : AllToAllAlgorithm::kDirect;
}

absl::Status CheckPlacements(const StepGraph& graph, const Placements& placements) {
  if (absl::Status status = CheckHomes(graph, placements.homes); !status.ok()) return status;
  if (placements.follow_load.has_value()) {
    const FollowLoad& follow = *placements.follow_load;
    const auto seconds = [](double value) { return std::isfinite(value) && value >= 0; };
    if (follow.window < 1 || follow.window > FollowLoad::kMostWindow ||
        !seconds(follow.row_seconds) || !seconds(follow.far_row_seconds) ||
        !seconds(follow.move_seconds) || placements.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: follow_load needs a window of 1 to ", FollowLoad::kMostWindow,
                       " steps, seconds >= 0, and placements of the layers that follow"));
    }
  }
  int32_t previous = -1;
  for (const PlacementChoice& choice : placements.layers) {
    const auto moves = [&](const Op& op) {
      return (choice.gathered > 1 ? op.shards : op.away) && op.layer == choice.layer;
    };
    if (choice.layer <= previous || std::none_of(graph.ops.begin(), graph.ops.end(), moves)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "plan: placements must be sorted by layer, one each, for layers whose experts can move; "
          "layer ",
          choice.layer, " is not"));
    }
    previous = choice.layer;
    if (choice.experts.size() != static_cast<size_t>(graph.ep)) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: the placement of layer ", choice.layer, " names ",
                       choice.experts.size(), " members, but experts are spread over ", graph.ep));
    }
    const auto placement = ExpertPlacement::Make(graph.experts, choice.experts);
    if (!placement.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: layer ", choice.layer, ": ", placement.status().message()));
    }
    if (choice.gathered < 1 || graph.esp % choice.gathered != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan: layer ", choice.layer, " gathers ", choice.gathered,
                       " shards of an expert, which must divide its ", graph.esp));
    }
    if (choice.gathered > 1 && (!placement->at_home() || placements.follow_load.has_value())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "plan: layer ", choice.layer, " gathers shards of experts that are not at home"));
    }
    if (placement->at_home() && choice.gathered == 1 && !placements.follow_load.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("plan: the experts of layer ", choice.layer,
                                                     " are all at home: name no placement"));
    }
  }
  return absl::OkStatus();
}

std::string NumericsOf(const Placements& placements) {
  if (!placements.homes.empty()) return "reassociating";
  if (placements.follow_load.has_value() && placements.follow_load->copies) return "reassociating";
  for (const PlacementChoice& choice : placements.layers) {
    if (choice.gathered > 1) return "reassociating";
    std::set<int32_t> seen;
    for (const std::vector<int32_t>& member : choice.experts) {
      for (const int32_t e : member) {
        if (!seen.insert(e).second) return "reassociating";
      }
    }
  }
  return "exact";
}

ExpertPlacement PlacementOf(const StepGraph& graph, const Plan& plan, int32_t layer) {
  const PlacementChoice* const choice = FindPlacement(plan, layer);
  if (choice == nullptr) return ExpertPlacement(graph.experts, graph.ep);
  absl::StatusOr<ExpertPlacement> placement = ExpertPlacement::Make(graph.experts, choice->experts);
  WEFT_CHECK(placement.ok(), "the plan is valid");
  return *std::move(placement);
}

ExpertHomes HomesOf(const std::vector<HomeChoice>& homes, int32_t experts, int32_t layer) {
  for (const HomeChoice& choice : homes) {
    if (choice.layer != layer) continue;
    absl::StatusOr<ExpertHomes> made = ExpertHomes::Make(choice.experts);
    WEFT_CHECK(made.ok(), "the homes are valid");
    return *std::move(made);
  }
  return ExpertHomes(experts);
}

int32_t GatheredOf(const Plan& plan, int32_t layer) {
  const PlacementChoice* const choice = FindPlacement(plan, layer);
  return choice == nullptr ? 1 : choice->gathered;
}

bool Has(const Plan& plan, const Op& op) {
  if (op.away || op.shards) {
    const PlacementChoice* const choice = FindPlacement(plan, op.layer);
    if (choice == nullptr || (choice->gathered > 1) != op.shards) return false;
  }
  return op.algorithms == kAnyAlgorithm || op.RunsUnder(AlgorithmOf(plan, op.layer));
}

std::vector<std::vector<int32_t>> TaskNeeds(const StepGraph& graph, const Plan& plan) {
  const std::vector<std::vector<int32_t>> tasks_of = TasksByOp(graph, plan);
  std::vector<std::vector<int32_t>> needs(plan.tasks.size());
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlanTask& task = plan.tasks[i];
    for (const OpId need : graph.op(task.op).needs) {
      const std::vector<int32_t>& tasks = tasks_of[static_cast<size_t>(need.value)];
      const int32_t same = SamePiece(graph, plan, task, graph.op(need).cut, tasks);
      if (same >= 0) {
        needs[i].push_back(same);
      } else {
        needs[i].insert(needs[i].end(), tasks.begin(), tasks.end());
      }
    }
    const Op& op = graph.op(task.op);
    if (op.cut == Cut::kEither && !IsWeightGradient(op.key.kind) && task.chunk > 0) {
      needs[i].push_back(
          tasks_of[static_cast<size_t>(op.id.value)][static_cast<size_t>(task.chunk) - 1]);
    }
    std::sort(needs[i].begin(), needs[i].end());
  }
  return needs;
}

absl::Status ValidatePlan(const StepGraph& graph, const Plan& plan) {
  if (plan.graph_fingerprint != FingerprintOf(graph)) {
    return absl::InvalidArgumentError(
        "plan: it was made for another model, layout or batch (its graph_fingerprint differs)");
  }
  if (plan.streams < 1 || plan.streams > kNumStreams) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan: streams must be 1, 2 or 3, not ", plan.streams));
  }
  if (plan.sm_limit < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan: sm_limit must be at least 0, not ", plan.sm_limit));
  }
  if (!std::isfinite(plan.predicted_seconds) || plan.predicted_seconds < 0) {
    return absl::InvalidArgumentError("plan: predicted_seconds must be a number >= 0");
  }
  if (absl::Status status = CheckDegrees(graph, plan); !status.ok()) return status;
  if (absl::Status status = CheckAllToAlls(graph, plan); !status.ok()) return status;
  if (absl::Status status = CheckPlacements(graph, plan.placements); !status.ok()) return status;
  if (plan.numerics != NumericsOf(plan.placements)) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan: numerics must be '", NumericsOf(plan.placements), "', not '",
                     plan.numerics, "', with these placements of experts"));
  }
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const int32_t op = plan.tasks[i].op.value;
    if (op < 0 || static_cast<size_t>(op) >= graph.ops.size()) {
      return absl::InvalidArgumentError(absl::StrCat("plan: task ", i, " names operation ", op,
                                                     ", but the graph has 0 to ",
                                                     static_cast<int64_t>(graph.ops.size()) - 1));
    }
    if (absl::Status status = CheckTask(graph, plan, plan.tasks[i]); !status.ok()) return status;
  }
  const std::vector<std::vector<int32_t>> tasks_of = TasksByOp(graph, plan);
  for (const Op& op : graph.ops) {
    if (!Has(plan, op)) continue;
    absl::Status status = CheckCover(graph, plan, op, tasks_of[static_cast<size_t>(op.id.value)]);
    if (status.ok()) status = CheckSlices(graph, plan, op, tasks_of);
    if (!status.ok()) return status;
  }
  if (absl::Status status = CheckBlocks(graph, plan, tasks_of); !status.ok()) return status;
  const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
  for (size_t i = 0; i < needs.size(); ++i) {
    if (!needs[i].empty() && needs[i].back() >= static_cast<int32_t>(i)) {
      const PlanTask& later = plan.tasks[static_cast<size_t>(needs[i].back())];
      return Invalid(graph, plan.tasks[i],
                     absl::StrCat("is issued before ", TaskName(graph, later), ", which it needs"));
    }
  }
  return absl::OkStatus();
}

double TaskSize(const StepGraph& graph, const Plan& plan, const PlanTask& task) {
  const Op& op = graph.op(task.op);
  if (op.away) return op.size * PlacementOf(graph, plan, op.layer).most_moved();
  if (op.shards) return op.size * (GatheredOf(plan, op.layer) - 1);
  if (op.cut != Cut::kSlices) return op.size / task.num_chunks;
  return op.size * (static_cast<double>(task.end - task.begin) / static_cast<double>(op.elements));
}

std::string TaskName(const StepGraph& graph, const PlanTask& task) {
  switch (graph.op(task.op).cut) {
    case Cut::kEither:
      if (task.num_chunks == 1) break;
      [[fallthrough]];
    case Cut::kChunks:
      return absl::StrCat(OpName(graph, task.op), "[", task.chunk, "/", task.num_chunks, "]");
    case Cut::kSlices:
      return absl::StrCat(OpName(graph, task.op), "[", task.begin, ":", task.end, "]");
    case Cut::kWhole:
      break;
  }
  return OpName(graph, task.op);
}

}  // namespace weft
