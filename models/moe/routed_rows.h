#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/batch_shape.h"
#include "models/moe/forced_routing.h"
#include "tensor/row_range.h"

// How many rows the tokens of every rank have for every expert, without routing them one by one:
// what a simulated world starts from. From a workload by its definition, or from matrices that
// somebody counted.

namespace weft {

class RoutedRows {
 public:
  virtual ~RoutedRows() = default;

  // Rows of tokens [begin, end) of the rank's micro-batch. rows: [num_experts]. REQUIRES: `layer`
  // has experts.
  virtual void Count(int32_t layer, int32_t micro_batch, int32_t rank, RowRange tokens,
                     std::span<int32_t> rows) const = 0;
};

// Of every place the probability that a token chooses its expert (ForcedRouting::ExpertAt):
// [num_experts], sum top_k. REQUIRES: choices of the workload can be drawn (all but w0, w4 and w5).
std::vector<double> PlaceShares(const MoeSpec& moe, Workload workload);

// Rows of a workload. Exactly those of a run where experts are taken in turn (w0, w4, w5, w7
// outside its bursts). Where they are drawn, the expected number, rounded so that a rank's rows add
// up and the roundings of different ranks fall on different experts; a run's differ from it by
// chance.
class WorkloadRows final : public RoutedRows {
 public:
  // REQUIRES: as ForcedRouting; global_sequences of the batch are spread evenly over the ranks.
  WorkloadRows(const ModelSpec& spec, const BatchShape& batch, int32_t world_size, uint64_t seed,
               Workload workload, int64_t step);

  void Count(int32_t layer, int32_t micro_batch, int32_t rank, RowRange tokens,
             std::span<int32_t> rows) const override;

 private:
  BatchShape batch_;
  int64_t sequences_of_rank_;
  RoutedBatch routed_;
  std::vector<ForcedRouting> layers_;
  std::vector<double> shares_until_;  // [place]: PlaceShares up to it; empty where all take turns
  std::vector<int32_t> expert_at_;    // [layer][place]; the same
};

// Counted rows: a matrix [rank][expert] for every layer with experts, or one for all of them, of
// one micro-batch. Part of the tokens have the same part of each block, rounded.
class CountedRows final : public RoutedRows {
 public:
  // matrices: of the layers with experts in order, or a single one. REQUIRES: as many as that, of
  // world x experts rows >= 0.
  CountedRows(const ModelSpec& spec, const BatchShape& batch,
              std::vector<std::vector<int32_t>> matrices);

  void Count(int32_t layer, int32_t micro_batch, int32_t rank, RowRange tokens,
             std::span<int32_t> rows) const override;

 private:
  int64_t tokens_;
  int32_t every_;
  std::vector<std::vector<int32_t>> matrices_;
};

}  // namespace weft
