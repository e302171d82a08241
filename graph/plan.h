#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "graph/expert_homes.h"
#include "graph/expert_placement.h"
#include "graph/step_graph.h"

// A Plan says into how many tasks each operation of a StepGraph is cut and in which one global
// order the tasks are issued; every stream and every communicator runs the restriction of that
// order, on all ranks alike. A Plan never changes; installing another one is a new epoch.

namespace weft {

struct PlanTask {
  OpId op;
  int32_t chunk = 0;  // kChunks, kEither: this piece of num_chunks
  int32_t num_chunks = 1;
  int64_t begin = 0;  // kSlices: elements [begin, end)
  int64_t end = 0;
  double predicted_begin = 0;  // seconds from the start of the step; 0 when nothing was predicted
  double predicted_seconds = 0;

  friend bool operator==(const PlanTask&, const PlanTask&) = default;
};

// A slice on a rank that has only `elements` of the operation's, which are those of the rank with
// the most: the part that is there, perhaps nothing.
inline PlanTask Within(PlanTask slice, int64_t elements) {
  slice.end = std::min(slice.end, elements);
  slice.begin = std::min(slice.begin, slice.end);
  return slice;
}

// Why this degree: one line of `weft explain`.
struct DegreeChoice {
  int32_t layer = 0;
  Direction direction = Direction::kForward;
  int32_t degree = 1;
  friend bool operator==(const DegreeChoice&, const DegreeChoice&) = default;
};

// How a layer does its all-to-alls, where its EP group spans nodes.
struct AllToAllChoice {
  int32_t layer = 0;
  AllToAllAlgorithm algorithm = AllToAllAlgorithm::kDirect;
  friend bool operator==(const AllToAllChoice&, const AllToAllChoice&) = default;
};

// Where the experts of a layer work (graph/expert_placement.h), and in how many parts. Of the ESP
// shards of an expert, `gathered` consecutive ranks bring theirs together: each then holds all of
// them, and rows are gathered among the others only, as many as there are parts left. 1: every rank
// computes with its own shard for the rows of the whole ESP group. ESP: with whole experts, for its
// own rows. Tutel's degree of expert parallelism is ESP / gathered (docs/placement.md).
struct PlacementChoice {
  int32_t layer = 0;
  std::vector<std::vector<int32_t>> experts;  // by EP member, ascending
  int32_t gathered = 1;                       // divides ESP
  friend bool operator==(const PlacementChoice&, const PlacementChoice&) = default;
};

// A plan may leave it to the ranks where experts work: before every step each of them asks
// ChoosePlacement (scheduler/placement/) with these terms and the rows of the last steps, which all
// ranks know, and all get the same answer.
struct FollowLoad {
  static constexpr int32_t kMostWindow = 16;

  int32_t window = 1;          // last steps that count, all alike; at most kMostWindow
  bool copies = false;         // an expert may work on several members
  double row_seconds = 0;      // of a row on the busiest rank: the experts' forward, backward, dW
  double far_row_seconds = 0;  // of a row that leaves its rank: dispatch and combine, both ways
  double move_seconds = 0;     // of an expert away from home: its weights and its gradients
  friend bool operator==(const FollowLoad&, const FollowLoad&) = default;
};

// Who lives at the homes of a layer (graph/expert_homes.h).
struct HomeChoice {
  int32_t layer = 0;
  std::vector<int32_t> experts;  // by home
  friend bool operator==(const HomeChoice&, const HomeChoice&) = default;
};

// Where experts work that a plan does not leave at home, and where they live.
struct Placements {
  std::vector<PlacementChoice> layers;  // sorted by layer; at home where none is named
  // Set: the named layers follow the load; their placements are those that were predicted, and run
  // before anything was seen.
  std::optional<FollowLoad> follow_load;
  // Sorted by layer; as the configuration says where none is named. Installing the plan moves who
  // lives elsewhere. Placements name experts by their homes.
  std::vector<HomeChoice> homes = {};

  // Whether all work at home, wherever that is.
  bool empty() const { return layers.empty(); }
  friend bool operator==(const Placements&, const Placements&) = default;
};

struct Plan {
  int64_t epoch = 0;
  uint64_t graph_fingerprint = 0;
  std::string policy;  // "weft", "sequential"
  // "exact": bit for bit what every exact plan computes. "reassociating": the same sums in other
  // parts, which copies of experts need (docs/architecture.md).
  std::string numerics = "exact";
  // How many of the three streams run at the same time. 3: each. 2: computation beside
  // communication, which is one stream however near the peer. 1: one task after another.
  int32_t streams = kNumStreams;
  // Multiprocessors of the device that a collective may take, where the backend can limit them
  // (Backend::sm_limits); 0: as it chooses.
  int32_t sm_limit = 0;
  std::vector<DegreeChoice> degrees;        // sorted by (layer, direction)
  std::vector<AllToAllChoice> all_to_alls;  // sorted by layer; direct where none is named
  Placements placements;
  std::vector<PlanTask> tasks;   // the global issue order
  double predicted_seconds = 0;  // of the whole step

  friend bool operator==(const Plan&, const Plan&) = default;
};

// The stream whose order a task of this operation keeps: its own, or, with fewer streams, the one
// it shares (communication: kInter; everything: kCompute).
StreamKind StreamUnder(int32_t streams, StreamKind stream);

// The pipeline degree of (layer, direction); 1 when the plan names none.
int32_t DegreeOf(const Plan& plan, int32_t layer, Direction direction);

// The all-to-all algorithm of a layer.
AllToAllAlgorithm AlgorithmOf(const Plan& plan, int32_t layer);
// Where the experts of a layer work; at home when the plan says nothing. REQUIRES: ValidatePlan.
ExpertPlacement PlacementOf(const StepGraph& graph, const Plan& plan, int32_t layer);
// Who lives at the homes of a layer. REQUIRES: CheckPlacements.
ExpertHomes HomesOf(const std::vector<HomeChoice>& homes, int32_t experts, int32_t layer);
// How many shards of an expert of a layer a rank brings together; 1 when the plan says nothing.
int32_t GatheredOf(const Plan& plan, int32_t layer);
// kInvalidArgument when they are not of layers whose experts can move or whose shards can be
// gathered, each named once in order, or are no placements, or at home with nothing gathered and do
// not follow the load, or gather shards of experts that are not at home, or a number of them that
// does not divide ESP, or the terms of following are out of range; likewise where homes are not of
// layers whose experts can move, each named once in order, or are no homes, or those of the
// configuration.
absl::Status CheckPlacements(const StepGraph& graph, const Placements& placements);
// "reassociating" when an expert has copies or may get some, or shards are gathered, or experts
// live elsewhere (the gradient norm adds up a member's experts in the order of their homes),
// otherwise "exact". REQUIRES: CheckPlacements.
std::string NumericsOf(const Placements& placements);
// Whether the plan has tasks of this operation.
bool Has(const Plan& plan, const Op& op);

// needs[i]: indices of the tasks of plan.tasks that task i waits for, ascending. Chunk c of an
// operation cut into r needs chunk c of its predecessors cut into the same r, and all tasks of
// every other predecessor; a slice needs the slice of its predecessor with equal [begin, end), all
// of them when there is none; a piece of a block needs the piece before it. REQUIRES: the plan
// covers the graph (ValidatePlan). The order of the streams is not included.
std::vector<std::vector<int32_t>> TaskNeeds(const StepGraph& graph, const Plan& plan);

// kInvalidArgument when the plan is not for this graph (fingerprint), a task names no operation, an
// operation of the chosen algorithms is not covered exactly once, or another at all (chunks 0..n-1
// with n the degree of its layer and direction, slices a partition without empty pieces, the same
// for all operations of a gradient), a block enters the pipeline with some of its operations only
// (weight gradients are free), a task is issued before one it needs, degrees or all-to-alls are not
// sorted, or a prediction is not a finite number >= 0, or the limit of multiprocessors is negative,
// or CheckPlacements, or numerics are not those of the placements.
absl::Status ValidatePlan(const StepGraph& graph, const Plan& plan);

// The regressor (see CostKey) of one task under the expected load: its share of the operation's
// size.
double TaskSize(const StepGraph& graph, const Plan& plan, const PlanTask& task);

// "dispatch.fwd.l3[1/4]", "grad_all_reduce.bwd.l2[0:4096]".
std::string TaskName(const StepGraph& graph, const PlanTask& task);

// plan.json: stable bytes (same plan, same text), readable, diffable: one task a line; numbers read
// back to the same bits. REQUIRES: ValidatePlan(graph, plan).
std::string PlanToJson(const StepGraph& graph, const Plan& plan);
// Fingerprint, task names and streams are checked against the graph; whether the tasks make a plan
// is ValidatePlan's question. kInvalidArgument otherwise, naming the field and what was expected;
// never throws, whatever the bytes.
absl::StatusOr<Plan> PlanFromJson(const StepGraph& graph, std::string_view json);

}  // namespace weft
