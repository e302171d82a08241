#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "models/model_context.h"
#include "models/parameters.h"

namespace weft {

// The experts of one layer in fewer, larger shards (graph/plan.h, PlacementChoice::gathered):
// weights and gradients of consecutive shards of the ESP group for one step, and the two exchanges
// among the ranks that hold them. Master weights and optimizer state stay where they are.
class GatheredShards {
 public:
  // `home`: this rank's shards of the layer's experts; outlives this.
  GatheredShards(const ModelContext& context, Bucket& home, int32_t layer);

  // Between steps: how many shards of an expert come together; 1: none. REQUIRES: divides ESP.
  void Place(int32_t gathered);
  void ZeroGradients();

  // Weights after Gather; their gradients, before Reduce. Empty when nothing is gathered.
  Bucket& bucket() { return bucket_; }
  int64_t hidden_units() const { return units_; }  // of a gathered shard

  // `size`: bytes that this rank sends.
  absl::Status Gather(double* size);
  // Adds the sum of what the ranks have for this rank's shards, in the order of the ranks, to the
  // gradients at home.
  absl::Status Reduce(double* size);

 private:
  // Blocks for a shard whose numbers stand from `begin` on.
  void AddBlocks(const Bucket& shard, int64_t begin);
  TensorView Numbers(const Buffer& of, DType dtype) const {
    return of.view(dtype, {bucket_.elements, 1});
  }
  int64_t own_elements() const { return rows_[me_]; }
  Communicator& group() const;

  const ModelContext& context_;
  Bucket& home_;
  const int32_t layer_;
  int32_t gathered_ = 1;
  int64_t units_ = 0;
  size_t me_ = 0;  // among the ranks that gather
  Bucket bucket_;
  std::vector<int64_t> rows_;  // elements of each of them
  // Numbers of the shards, where they stand in the bucket, and the other way round.
  std::vector<RowBlock> joined_, parted_;
  Buffer shards_, reduced_;  // one rank's shards after another's; this rank's
};

}  // namespace weft
