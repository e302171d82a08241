#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "models/batch_shape.h"
#include "runtime/data/corpus.h"
#include "runtime/data/sampler.h"
#include "runtime/options.h"

namespace weft {

// One rank's part of every batch, training and validation, in buffers that the steps read.
class Batches {
 public:
  struct Batch {
    std::span<const int32_t> tokens;  // [sequences of this rank * length]
    std::span<const int32_t> labels;
  };

  // kInvalidArgument, naming paths and sizes, when a text is too short for one window.
  static absl::StatusOr<Batches> Make(const Corpus& corpus, const TrainingOptions& options,
                                      const BatchShape& shape, int32_t rank, int32_t world_size);

  // Valid until the next call of either.
  Batch Training(int64_t step);
  // One micro-batch; `index` counts validation batches from 0.
  Batch Validation(int64_t index);

 private:
  Batches(Sampler training, Sampler validation, const BatchShape& shape, int32_t rank,
          int32_t world_size);
  Batch Read(const Sampler& sampler, int64_t step);

  Sampler training_, validation_;
  int32_t rank_;
  int32_t world_size_;
  std::vector<int32_t> tokens_, labels_;
};

}  // namespace weft
