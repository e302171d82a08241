#include "runtime/batches.h"

#include <utility>

#include "base/status_macros.h"

namespace weft {

absl::StatusOr<Batches> Batches::Make(const Corpus& corpus, const TrainingOptions& options,
                                      const BatchShape& shape, int32_t rank, int32_t world_size) {
  SamplerOptions training;
  training.order = SampleOrder::kShuffled;
  training.seed = options.seed;
  training.global_batch = options.global_batch;
  training.sequence_length = options.sequence_length;
  SamplerOptions validation = training;
  validation.order = SampleOrder::kSequential;
  validation.global_batch = static_cast<int32_t>(shape.sequences) * world_size;
  auto train_sampler = Sampler::Make(corpus.train, training);
  WEFT_RETURN_IF_ERROR(WithContext(train_sampler.status(), "training text"));
  auto validation_sampler = Sampler::Make(corpus.validation, validation);
  WEFT_RETURN_IF_ERROR(WithContext(validation_sampler.status(), "validation text"));
  return Batches(*std::move(train_sampler), *std::move(validation_sampler), shape, rank,
                 world_size);
}

Batches::Batches(Sampler training, Sampler validation, const BatchShape& shape, int32_t rank,
                 int32_t world_size)
    : training_(std::move(training)),
      validation_(std::move(validation)),
      rank_(rank),
      world_size_(world_size) {
  tokens_.resize(static_cast<size_t>(shape.tokens() * shape.micro_batches));
  labels_.resize(tokens_.size());
}

Batches::Batch Batches::Read(const Sampler& sampler, int64_t step) {
  const SampleBlock block = BlockOfRank(sampler.options().global_batch, rank_, world_size_);
  const auto count =
      static_cast<size_t>(block.size()) * static_cast<size_t>(sampler.options().sequence_length);
  const std::span<int32_t> tokens(tokens_.data(), count);
  const std::span<int32_t> labels(labels_.data(), count);
  sampler.ReadBatch(step, block, tokens, labels);
  return {tokens, labels};
}

Batches::Batch Batches::Training(int64_t step) { return Read(training_, step); }
Batches::Batch Batches::Validation(int64_t index) { return Read(validation_, index); }

}  // namespace weft
