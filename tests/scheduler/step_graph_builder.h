#pragma once

#include <cstdint>
#include <memory>

#include "base/random.h"
#include "graph/step_graph.h"
#include "scheduler/cost_model.h"
#include "scheduler/planner.h"

// Step graphs of the shape that models/build_step_graph makes, from a handful of numbers, for
// tests.

namespace weft {

struct TestModel {
  int32_t layers = 2;
  int32_t moe_every = 1;  // layer i has experts when (i + 1) % moe_every == 0
  int32_t micro_batches = 1;
  int32_t nodes = 2;
  int32_t ranks_per_node = 2;
  int32_t esp = 2;  // ESP > 1: gathers and scatters inside the node
  int32_t edp = 1;  // EDP > 1: expert gradients are all-reduced
  double dispatch_bytes = 4e6;
  double expert_flops = 4e8;
  double attention_flops = 2e8;
  int64_t gradient_elements = 1'000'000;  // dense, per layer
  int32_t sequences = 1;
  bool cut_blocks = false;  // everything of a layer but its pipeline may be cut with it: kEither
  bool cut_wgrads = false;  // the experts' dW may be cut, too
};

StepGraph BuildTestGraph(const TestModel& model);

// A model with numbers drawn from `random`, starting at `draw`.
TestModel RandomModel(const CounterRng& random, uint64_t draw);

// The same with blocks and weight gradients that may or may not be cut.
TestModel RandomBlockModel(const CounterRng& random, uint64_t draw);

// Speeds with which no resource dominates the others by far in the default model.
std::shared_ptr<const CostModel> BalancedCosts();

// A request over `graph` and `costs`, with the default degrees and policy.
PlanRequest RequestFor(const StepGraph& graph, const CostModel& costs);

}  // namespace weft
