#pragma once

#include <cstdint>

#include "graph/step_graph.h"
#include "graph/topology.h"
#include "simulation/cluster.h"

// Layers in the layout that FSMoE evaluates: the ranks of a node share attention (MP) and each
// expert (ESP), ranks with equal local number exchange tokens (EP) and reduce the dense gradients.
// Volumes are the paper's (section 3): per rank K B L M / G elements exchanged, K B L M gathered
// and scattered, K B L M H / G multiply-accumulates a product.

namespace weft {

struct AlignedModel {
  int32_t layers = 1;
  int64_t batch = 1;          // sequences of a node
  int64_t length = 1;         // tokens of one
  int64_t width = 1;          // M
  int64_t expert_width = 1;   // H
  double rows_per_token = 1;  // K: top-k times the capacity factor
  bool swiglu = false;        // three products an expert and a quarter of the KV heads, else two
  // What stands around the experts: attention with its gathers and scatters, and the gate.
  bool blocks = false;
  // dW a task of its own, which can wait, beside dX in one task as most systems have it.
  bool split_weight_gradients = false;
};

// Forward and backward of all layers and the reduction of their dense gradients. Without blocks the
// gradient of each layer is there when its backward begins, as FSMoE counts it. Attention forward:
// (2 + 2 kv) M^2 / G multiply-accumulates a token for the projections, kv = 1 or 1/4, and L M / G
// for scores and values of a causal sequence; backward twice that. Gate: M multiply-accumulates a
// token and expert group. Norms, order and the optimizer cost nothing.
StepGraph BuildAlignedGraph(const AlignedModel& model, const Topology& topology);

// The products that the operations of that graph start.
ProductCounts ProductsOf(const AlignedModel& model);

// Dense gradient of one layer on a rank: 4 M^2 / G elements, 2.5 M^2 / G with SwiGLU.
int64_t DenseGradientElements(const AlignedModel& model, const Topology& topology);

}  // namespace weft
