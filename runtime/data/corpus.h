#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/data/indexed_dataset.h"
#include "runtime/data/tokenizer.h"
#include "runtime/options.h"

// From the files a person names to the two datasets a run reads. A source is a text file, a
// directory (every *.txt below it, sorted by path) or the prefix of an existing .bin/.idx pair; a
// text file is one document. The tail of every document is held out for validation. The result is
// kept as CACHE/corpus-DIGEST-{train,validation}.{bin,idx}, where DIGEST covers the content of all
// sources and every option that matters, so a second run only computes the digest; a pair there
// that is incomplete or damaged is built anew.

namespace weft {

struct Corpus {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const IndexedDataset> train;
  std::shared_ptr<const IndexedDataset> validation;  // no documents when validation_fraction is 0
  bool from_cache = false;
};

// Loads the corpus, building it first when the cache does not hold it. Any number of processes may
// build the same corpus at once: each writes under names of its own and the last rename wins with
// equal bytes. kInvalidArgument names the path or key and the values: no paths, an empty file, a
// directory without text, a fraction outside [0, 1), a vocabulary larger than `vocab_size` (the
// model's), a damaged dataset. kNotFound, kPermissionDenied: an input that cannot be read.
absl::StatusOr<Corpus> LoadCorpus(const DataOptions& options, int32_t vocab_size);

}  // namespace weft
