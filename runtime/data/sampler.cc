#include "runtime/data/sampler.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fingerprint.h"
#include "runtime/data/permutation.h"

namespace weft {

SampleBlock BlockOfRank(int32_t global_batch, int32_t rank, int32_t world_size) {
  WEFT_CHECK(global_batch >= 0 && rank >= 0 && rank < world_size, "rank within the world");
  const auto edge = [&](int64_t r) { return static_cast<int32_t>(global_batch * r / world_size); };
  return {edge(rank), edge(rank + 1)};
}

absl::StatusOr<Sampler> Sampler::Make(std::shared_ptr<const IndexedDataset> dataset,
                                      const SamplerOptions& options) {
  if (options.global_batch < 1 || options.sequence_length < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("global_batch (", options.global_batch, ") and sequence_length (",
                     options.sequence_length, ") must be at least 1"));
  }
  const int64_t windows = (dataset->tokens() - 1) / options.sequence_length;
  if (dataset->tokens() <= options.sequence_length) {
    return absl::InvalidArgumentError(absl::StrCat(
        dataset->prefix(), " holds ", dataset->tokens(), " tokens; one window of sequence_length ",
        options.sequence_length, " needs ", options.sequence_length + int64_t{1}));
  }
  return Sampler(std::move(dataset), options, windows);
}

Sampler::Sampler(std::shared_ptr<const IndexedDataset> dataset, const SamplerOptions& options,
                 int64_t windows)
    : dataset_(std::move(dataset)),
      options_(options),
      windows_(windows),
      key_(CombineFingerprints(Fingerprint("data order"), options.seed)) {}

int64_t Sampler::GlobalSample(int64_t step, int32_t i) const {
  WEFT_CHECK(step >= 0 && i >= 0 && i < options_.global_batch, "position in the global batch");
  const int64_t sample = step * options_.global_batch + i;
  const int64_t position = sample % windows_;
  if (options_.order == SampleOrder::kSequential) return position;
  const auto pass = static_cast<uint64_t>(sample / windows_);
  return Permutation(CombineFingerprints(key_, pass), windows_).At(position);
}

void Sampler::ReadBatch(int64_t step, SampleBlock block, std::span<int32_t> inputs,
                        std::span<int32_t> targets) const {
  const auto length = static_cast<size_t>(options_.sequence_length);
  const size_t elements = static_cast<size_t>(block.size()) * length;
  WEFT_CHECK(inputs.size() == elements && targets.size() == elements, "size of the batch");
  for (int32_t i = block.begin; i < block.end; ++i) {
    const int64_t begin = GlobalSample(step, i) * options_.sequence_length;
    const size_t row = static_cast<size_t>(i - block.begin) * length;
    dataset_->Read(begin, inputs.subspan(row, length));
    dataset_->Read(begin + 1, targets.subspan(row, length));
  }
}

}  // namespace weft
