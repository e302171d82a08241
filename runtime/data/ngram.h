#pragma once

#include "absl/status/statusor.h"
#include "runtime/data/indexed_dataset.h"
#include "runtime/data/tokenizer.h"

namespace weft {

// What counting alone achieves on the validation text: the yardsticks a model must beat.
struct NgramBaseline {
  double unigram_bits_per_byte = 0;
  double bigram_bits_per_byte = 0;
};

// Counts on `train`, predicts `validation`, V = the tokenizer's vocabulary, add-one (Laplace)
// smoothing:
//   unigram  p(b)   = (count(b) + 1) / (tokens + V)
//   bigram   p(b|a) = (count(ab) + 1) / (count(a followed by anything) + V); pairs do not cross
//   documents, and the
//            first token of a document is predicted by the unigram.
// bits per byte = -sum log2 p / (bytes of text that the validation tokens stand for).
// kInvalidArgument: an empty dataset, or a token outside the vocabulary.
absl::StatusOr<NgramBaseline> MeasureNgrams(const IndexedDataset& train,
                                            const IndexedDataset& validation,
                                            const Tokenizer& tokenizer);

}  // namespace weft
