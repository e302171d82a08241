#pragma once

#include <cstdint>

#include "graph/cost_key.h"
#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"
#include "tensor/row_range.h"

// The regressors of operations (graph/cost_key.h): bytes this rank sends for a collective, FLOPs
// for products. The graph builder uses them with the expected load, the running program with the
// real one, calibration with its own.

namespace weft {

// Bytes one rank sends to others, by the direct algorithms of docs/collectives.md; elements are of
// type `dtype`. `own`: elements of this rank's block; `total`: elements of all blocks.
// AllReduceBytes counts two steps even where the all-reduce takes one (base/all_reduce.h): bytes
// really sent fall where the second step begins, so that one size would mean two different
// all-reduces. In this size costs grow, slices add up, and elements can be found back.
double AllGatherBytes(int64_t own, int32_t group_size, DType dtype = DType::kF32);
double ReduceScatterBytes(int64_t total, int64_t own, DType dtype = DType::kF32);
double AllReduceBytes(int64_t elements, int32_t group_size, DType dtype = DType::kF32);
double AllToAllBytes(int64_t to_others, DType dtype = DType::kF32);

// FLOPs of an expert shard's products over `rows` rows: forward, or dX, or dW (all equal).
double ExpertFlops(const ModelSpec& spec, int64_t hidden_units, int64_t rows);
// Attention of some of a rank's tokens: projections and scores, forward; their dX, backward.
double AttentionFlops(const ModelSpec& spec, const BatchShape& batch, RowRange tokens,
                      Direction direction);
// dW of the projections, over all tokens.
double AttentionWgradFlops(const ModelSpec& spec, const BatchShape& batch);
// Shared experts over `tokens` tokens: forward, or dX, or dW.
double SharedExpertFlops(const ModelSpec& spec, int64_t tokens);
double DenseFfnFlops(const ModelSpec& spec, const BatchShape& batch, bool backward);
double HeadFlops(const ModelSpec& spec, const BatchShape& batch, bool backward);

// FLOPs of a training step (forward and backward, all ranks), for MFU.
double StepFlops(const ModelSpec& spec, const BatchShape& batch);

}  // namespace weft
