#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "runtime/data/indexed_dataset.h"

// Which tokens a step trains on, as a pure function of (seed, step): nothing to save, nothing to
// restore, and the same for every number of ranks. The documents are read as one long stream, cut
// into windows of sequence_length inputs; window w holds ids [w * L, w * L + L], so that its L
// targets are its inputs shifted by one and every id but the first is a target exactly once. Sample
// s = step * global_batch + i of the run reads the window at position s mod windows() of the
// permutation of data pass s / windows(): every window exactly once a pass, and a batch may
// straddle two passes.

namespace weft {

enum class SampleOrder : uint8_t {
  kShuffled,    // training: another permutation each pass
  kSequential,  // validation: front to back, then again
};

struct SamplerOptions {
  SampleOrder order = SampleOrder::kShuffled;
  uint64_t seed = 0;  // read in kShuffled only
  int32_t global_batch = 1;
  int32_t sequence_length = 1;
};

// Positions [begin, end) of the global batch.
struct SampleBlock {
  int32_t begin = 0;
  int32_t end = 0;
  int32_t size() const { return end - begin; }
};

// The contiguous block of rank `rank` of `world_size`; sizes differ by at most one and may be zero.
SampleBlock BlockOfRank(int32_t global_batch, int32_t rank, int32_t world_size);

class Sampler {
 public:
  // kInvalidArgument: a size below one, or fewer tokens than one window needs.
  static absl::StatusOr<Sampler> Make(std::shared_ptr<const IndexedDataset> dataset,
                                      const SamplerOptions& options);

  int64_t windows() const { return windows_; }
  const SamplerOptions& options() const { return options_; }

  // The window of position `i` of the global batch of `step`. REQUIRES: step >= 0, 0 <= i <
  // global_batch.
  int64_t GlobalSample(int64_t step, int32_t i) const;

  // Fills inputs and targets, both [block.size(), sequence_length], row-major. Does not allocate.
  // Thread-safe.
  void ReadBatch(int64_t step, SampleBlock block, std::span<int32_t> inputs,
                 std::span<int32_t> targets) const;

 private:
  Sampler(std::shared_ptr<const IndexedDataset> dataset, const SamplerOptions& options,
          int64_t windows);

  std::shared_ptr<const IndexedDataset> dataset_;
  SamplerOptions options_;
  int64_t windows_;
  uint64_t key_;
};

}  // namespace weft
