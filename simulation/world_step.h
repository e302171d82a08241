#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "graph/plan.h"
#include "graph/step_graph.h"
#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"
#include "models/moe/routed_rows.h"
#include "scheduler/cost_model.h"
#include "simulation/slowdowns.h"

// A plan's step on all ranks of a cluster, where rows are routed unevenly and ranks are unequally
// fast. The costs are those of the one rank that scheduler/simulate.h simulates; sizes are what
// every rank really carries. Without routed rows and stragglers the makespan is that simulation's.

namespace weft {

struct WorldStepArgs {
  const StepGraph& graph;
  const Plan& plan;
  const CostModel& costs;
  const Topology& topology;
  const Layout& layout;
  const ModelSpec& spec;
  const BatchShape& batch;
  const RoutedRows* rows = nullptr;  // null: every rank carries the expected load
  const Slowdowns& slowdowns;
  std::vector<int32_t> traced_ranks;  // whose tasks are kept
};

struct RankUse {
  std::array<double, kNumStreams> busy{};  // seconds that tasks took, by their StreamKind
  double waited = 0;                       // seconds until later members came to a collective
  // Seconds that others spent because of this rank, added up over them: for each collective, what
  // they waited for its last member, and what it took longer than they would have taken, for its
  // busiest one.
  double held_up = 0;
};

struct TracedTask {
  double issued = 0;  // seconds from the start of the step
  double begin = 0;   // later than issued: it waited for other members
  double end = 0;
  double size = 0;
};

struct WorldStep {
  double seconds = 0;
  std::vector<RankUse> ranks;
  std::vector<std::vector<TracedTask>> traced;  // [traced rank][task of the plan]

  // Who holds others up longest; -1 when nobody does.
  int32_t SlowestRank() const;
};

// Pure. REQUIRES: ValidatePlan(graph, plan); graph is BuildStepGraph of the rest; slowdowns for
// every rank; traced ranks are of the world.
WorldStep SimulateWorld(const WorldStepArgs& args);

}  // namespace weft
