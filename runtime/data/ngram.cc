#include "runtime/data/ngram.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace weft {
namespace {

uint64_t PairKey(int32_t first, int32_t second) {
  return static_cast<uint64_t>(first) << 32 | static_cast<uint32_t>(second);
}

class Counts {
 public:
  explicit Counts(int32_t vocab_size)
      : vocab_size_(vocab_size), tokens_(static_cast<size_t>(vocab_size), 0), contexts_(tokens_) {}

  void Count(const std::vector<int32_t>& document) {
    total_ += static_cast<int64_t>(document.size());
    for (size_t i = 0; i < document.size(); ++i) {
      ++tokens_[static_cast<size_t>(document[i])];
      if (i == 0) continue;
      ++contexts_[static_cast<size_t>(document[i - 1])];
      ++pairs_[PairKey(document[i - 1], document[i])];
    }
  }

  double UnigramBits(int32_t token) const {
    return Bits(tokens_[static_cast<size_t>(token)], total_);
  }
  double BigramBits(int32_t context, int32_t token) const {
    const auto pair = pairs_.find(PairKey(context, token));
    return Bits(pair == pairs_.end() ? 0 : pair->second, contexts_[static_cast<size_t>(context)]);
  }

 private:
  double Bits(int64_t count, int64_t total) const {
    return std::log2(static_cast<double>(total + vocab_size_) / static_cast<double>(count + 1));
  }

  int32_t vocab_size_;
  int64_t total_ = 0;
  std::vector<int64_t> tokens_;    // [vocab]
  std::vector<int64_t> contexts_;  // [vocab]: how often a token was followed by another
  absl::flat_hash_map<uint64_t, int64_t> pairs_;
};

absl::StatusOr<std::vector<int32_t>> ReadDocument(const IndexedDataset& dataset, int64_t document,
                                                  int32_t vocab_size) {
  const TokenRange range = dataset.Document(document);
  std::vector<int32_t> ids(static_cast<size_t>(range.size()));
  dataset.Read(range.begin, ids);
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat(dataset.prefix(), " holds the token id ", id,
                                                     ", outside the vocabulary of ", vocab_size));
    }
  }
  return ids;
}

}  // namespace

absl::StatusOr<NgramBaseline> MeasureNgrams(const IndexedDataset& train,
                                            const IndexedDataset& validation,
                                            const Tokenizer& tokenizer) {
  for (const IndexedDataset* dataset : {&train, &validation}) {
    if (dataset->tokens() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(dataset->prefix(), " holds no tokens"));
    }
  }
  Counts counts(tokenizer.vocab_size());
  for (int64_t document = 0; document < train.documents(); ++document) {
    WEFT_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          ReadDocument(train, document, tokenizer.vocab_size()));
    counts.Count(ids);
  }
  double unigram_bits = 0;
  double bigram_bits = 0;
  int64_t bytes = 0;
  for (int64_t document = 0; document < validation.documents(); ++document) {
    WEFT_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          ReadDocument(validation, document, tokenizer.vocab_size()));
    bytes += tokenizer.TextBytes(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const double unigram = counts.UnigramBits(ids[i]);
      unigram_bits += unigram;
      bigram_bits += i == 0 ? unigram : counts.BigramBits(ids[i - 1], ids[i]);
    }
  }
  const auto denominator = static_cast<double>(bytes);
  return NgramBaseline{unigram_bits / denominator, bigram_bits / denominator};
}

}  // namespace weft
