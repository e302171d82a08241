#include "runtime/data/data_command.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/data/corpus.h"
#include "runtime/data/indexed_dataset.h"
#include "runtime/data/ngram.h"
#include "runtime/data/tokenizer.h"

namespace weft {
namespace {

constexpr std::string_view kUsage =
    "usage: weft data prepare PATH... [--tokenizer NAME] [--out DIR] [--validation_fraction F]\n"
    "       weft data info PREFIX";

absl::Status UsageError(const std::string& problem) {
  return absl::InvalidArgumentError(absl::StrCat(problem, "\n", std::string(kUsage)));
}

absl::StatusOr<DataOptions> ParsePrepare(std::span<const std::string> args) {
  DataOptions options;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!args[i].starts_with("--")) {
      options.paths.push_back(args[i]);
      continue;
    }
    const std::string& flag = args[i];
    const bool known = flag == "--tokenizer" || flag == "--out" || flag == "--validation_fraction";
    if (!known) return UsageError(absl::StrCat("unknown option ", flag));
    if (i + 1 == args.size()) return UsageError(absl::StrCat(flag, " needs a value"));
    const std::string& value = args[++i];
    if (flag == "--tokenizer") {
      options.tokenizer = value;
    } else if (flag == "--out") {
      options.cache_directory = value;
    } else if (!absl::SimpleAtod(value, &options.validation_fraction)) {
      return UsageError(absl::StrCat("--validation_fraction '", value, "' is not a number"));
    }
  }
  if (options.paths.empty()) return UsageError("prepare needs at least one PATH");
  return options;
}

void Describe(const IndexedDataset& dataset, std::ostream& out) {
  out << "  " << dataset.prefix() << ".{bin,idx}\n"
      << "    documents " << dataset.documents() << ", sequences " << dataset.sequences()
      << ", tokens " << dataset.tokens() << " of type " << Name(dataset.token_type()) << "\n";
}

absl::Status Prepare(std::span<const std::string> args, std::ostream& out) {
  WEFT_ASSIGN_OR_RETURN(const DataOptions options, ParsePrepare(args));
  WEFT_ASSIGN_OR_RETURN(const auto tokenizer, MakeTokenizer(options.tokenizer));
  WEFT_ASSIGN_OR_RETURN(const Corpus corpus, LoadCorpus(options, tokenizer->vocab_size()));
  out << (corpus.from_cache ? "found in the cache:\n" : "written:\n");
  Describe(*corpus.train, out);
  Describe(*corpus.validation, out);
  if (corpus.validation->tokens() > 0) {
    WEFT_ASSIGN_OR_RETURN(const NgramBaseline baseline,
                          MeasureNgrams(*corpus.train, *corpus.validation, *corpus.tokenizer));
    out << "  bits per byte of the validation text: unigram " << baseline.unigram_bits_per_byte
        << ", bigram " << baseline.bigram_bits_per_byte << "\n";
  }
  return absl::OkStatus();
}

absl::Status Info(std::span<const std::string> args, std::ostream& out) {
  if (args.size() != 1) return UsageError("info needs exactly one PREFIX");
  WEFT_ASSIGN_OR_RETURN(const auto dataset, IndexedDataset::Load(args[0]));
  Describe(*dataset, out);
  int32_t smallest = 0;
  int32_t largest = 0;
  std::vector<int32_t> chunk;
  for (int64_t begin = 0; begin < dataset->tokens(); begin += static_cast<int64_t>(chunk.size())) {
    chunk.resize(
        static_cast<size_t>(std::min<int64_t>(int64_t{1} << 20, dataset->tokens() - begin)));
    dataset->Read(begin, chunk);
    const auto [low, high] = std::minmax_element(chunk.begin(), chunk.end());
    smallest = begin == 0 ? *low : std::min(smallest, *low);
    largest = begin == 0 ? *high : std::max(largest, *high);
  }
  if (dataset->tokens() > 0) out << "    ids from " << smallest << " to " << largest << "\n";
  return absl::OkStatus();
}

}  // namespace

absl::Status RunDataCommand(std::span<const std::string> args, std::ostream& out) {
  if (args.empty()) return UsageError("weft data needs a command");
  if (args[0] == "prepare") return Prepare(args.subspan(1), out);
  if (args[0] == "info") return Info(args.subspan(1), out);
  return UsageError(absl::StrCat("unknown command '", args[0], "'"));
}

}  // namespace weft
