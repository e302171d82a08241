#include "runtime/data/corpus.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "runtime/data/indexed_dataset_writer.h"
#include "runtime/storage/digest.h"
#include "runtime/storage/durable_file.h"
#include "runtime/storage/mapped_file.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

enum class SourceKind { kText, kDataset };

struct Source {
  SourceKind kind = SourceKind::kText;
  std::string path;  // a file, or the prefix of a dataset
};

absl::StatusOr<std::vector<Source>> TextFilesBelow(const std::string& directory) {
  std::vector<Source> sources;
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    if (entry->path().extension() == ".txt" && entry->is_regular_file(error) && !error) {
      sources.push_back({SourceKind::kText, entry->path().string()});
    }
    if (!error) entry.increment(error);
  }
  if (error) return FileError("cannot list the directory", directory, error.value());
  if (sources.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the directory ", directory, " holds no file named *.txt"));
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.path < b.path; });
  return sources;
}

absl::StatusOr<std::vector<Source>> SourcesOf(const std::string& path) {
  std::error_code ignored;  // what cannot be inspected is reported by whoever opens it
  if (fs::is_directory(path, ignored)) return TextFilesBelow(path);
  if (fs::is_regular_file(path, ignored)) return std::vector<Source>{{SourceKind::kText, path}};
  if (fs::is_regular_file(path + ".idx", ignored)) {
    return std::vector<Source>{{SourceKind::kDataset, path}};
  }
  return absl::NotFoundError(absl::StrCat(
      path, " is neither a text file, nor a directory, nor the prefix of a .bin/.idx pair"));
}

// The content of a text file; an empty one is an error.
absl::StatusOr<MappedFile> LoadText(const std::string& path) {
  WEFT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Load(path));
  if (file.bytes().empty()) return absl::InvalidArgumentError(absl::StrCat(path, " is empty"));
  return file;
}

// Everything that decides the bytes of the two datasets.
absl::StatusOr<std::string> DigestOfInputs(const std::vector<Source>& sources,
                                           const DataOptions& options, int32_t vocab_size) {
  std::string text = absl::StrCat(
      "weft corpus 1\ntokenizer ", options.tokenizer, "\nvocabulary ", vocab_size, "\nvalidation ",
      absl::Hex(std::bit_cast<uint64_t>(options.validation_fraction)), "\n");
  for (const Source& source : sources) {
    if (source.kind == SourceKind::kText) {
      WEFT_ASSIGN_OR_RETURN(const MappedFile file, LoadText(source.path));
      absl::StrAppend(&text, "text ", DigestOf(file.bytes()), "\n");
    } else {
      WEFT_ASSIGN_OR_RETURN(const MappedFile index, MappedFile::Load(source.path + ".idx"));
      WEFT_ASSIGN_OR_RETURN(const MappedFile ids, MappedFile::Load(source.path + ".bin"));
      absl::StrAppend(&text, "dataset ", DigestOf(index.bytes()), DigestOf(ids.bytes()), "\n");
    }
  }
  return DigestOf(text);
}

// The two writers of one build.
class Split {
 public:
  static absl::StatusOr<Split> Make(const std::string& train_prefix,
                                    const std::string& validation_prefix, TokenType type,
                                    double validation_fraction) {
    WEFT_ASSIGN_OR_RETURN(IndexedDatasetWriter train,
                          IndexedDatasetWriter::Make(train_prefix, type));
    WEFT_ASSIGN_OR_RETURN(IndexedDatasetWriter validation,
                          IndexedDatasetWriter::Make(validation_prefix, type));
    return Split(std::move(train), std::move(validation), validation_fraction);
  }

  absl::Status AddDocument(std::span<const int32_t> ids) {
    const auto held_out =
        static_cast<size_t>(static_cast<double>(ids.size()) * validation_fraction_);
    const size_t kept = ids.size() - held_out;
    if (kept > 0) WEFT_RETURN_IF_ERROR(train_.AddDocument(ids.first(kept)));
    if (held_out > 0) WEFT_RETURN_IF_ERROR(validation_.AddDocument(ids.subspan(kept)));
    return absl::OkStatus();
  }

  absl::Status Commit() {
    if (train_.tokens() == 0) return absl::InvalidArgumentError("the sources hold no tokens");
    if (validation_fraction_ > 0 && validation_.tokens() == 0) {
      return absl::InvalidArgumentError(absl::StrCat("data.validation_fraction ",
                                                     validation_fraction_, " of ", train_.tokens(),
                                                     " tokens leaves nothing for validation"));
    }
    WEFT_RETURN_IF_ERROR(validation_.Commit());
    return train_.Commit();
  }

 private:
  Split(IndexedDatasetWriter train, IndexedDatasetWriter validation, double validation_fraction)
      : train_(std::move(train)),
        validation_(std::move(validation)),
        validation_fraction_(validation_fraction) {}

  IndexedDatasetWriter train_;
  IndexedDatasetWriter validation_;
  double validation_fraction_;
};

absl::Status AddText(const std::string& path, const Tokenizer& tokenizer, Split& split) {
  WEFT_ASSIGN_OR_RETURN(const MappedFile file, LoadText(path));
  std::vector<int32_t> ids = tokenizer.Encode(file.bytes());
  if (const auto end = tokenizer.end_of_document()) ids.push_back(*end);
  return WithContext(split.AddDocument(ids), path);
}

absl::Status AddDataset(const std::string& prefix, int32_t vocab_size, Split& split) {
  WEFT_ASSIGN_OR_RETURN(const auto dataset, IndexedDataset::Load(prefix));
  for (int64_t document = 0; document < dataset->documents(); ++document) {
    const TokenRange range = dataset->Document(document);
    std::vector<int32_t> ids(static_cast<size_t>(range.size()));
    dataset->Read(range.begin, ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] >= 0 && ids[i] < vocab_size) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(prefix, ": token ", range.begin + static_cast<int64_t>(i), " has the id ",
                       ids[i], " but model.vocab_size is ", vocab_size));
    }
    WEFT_RETURN_IF_ERROR(split.AddDocument(ids));
  }
  return absl::OkStatus();
}

absl::Status LoadBoth(const std::string& train_prefix, const std::string& validation_prefix,
                      Corpus& corpus) {
  WEFT_ASSIGN_OR_RETURN(corpus.train, IndexedDataset::Load(train_prefix));
  WEFT_ASSIGN_OR_RETURN(corpus.validation, IndexedDataset::Load(validation_prefix));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Corpus> LoadCorpus(const DataOptions& options, int32_t vocab_size) {
  if (options.paths.empty()) {
    return absl::InvalidArgumentError(
        "data.paths is empty; name text files, directories of *.txt or a .bin/.idx prefix");
  }
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.validation_fraction ", options.validation_fraction, " is outside [0, 1)"));
  }
  Corpus corpus;
  WEFT_ASSIGN_OR_RETURN(corpus.tokenizer, MakeTokenizer(options.tokenizer));
  if (corpus.tokenizer->vocab_size() > vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer '", options.tokenizer, "' has ",
                                                   corpus.tokenizer->vocab_size(),
                                                   " ids but model.vocab_size is ", vocab_size));
  }

  std::vector<Source> sources;
  for (const std::string& path : options.paths) {
    WEFT_ASSIGN_OR_RETURN(std::vector<Source> found, SourcesOf(path));
    sources.insert(sources.end(), found.begin(), found.end());
  }
  WEFT_ASSIGN_OR_RETURN(const std::string digest, DigestOfInputs(sources, options, vocab_size));
  const std::string stem = absl::StrCat(options.cache_directory, "/corpus-", digest);
  const std::string train_prefix = stem + "-train";
  const std::string validation_prefix = stem + "-validation";

  corpus.from_cache = LoadBoth(train_prefix, validation_prefix, corpus).ok();
  if (!corpus.from_cache) {
    WEFT_RETURN_IF_ERROR(MakeDirectories(options.cache_directory));
    WEFT_ASSIGN_OR_RETURN(Split split,
                          Split::Make(train_prefix, validation_prefix, TokenTypeFor(vocab_size),
                                      options.validation_fraction));
    for (const Source& source : sources) {
      WEFT_RETURN_IF_ERROR(source.kind == SourceKind::kText
                               ? AddText(source.path, *corpus.tokenizer, split)
                               : AddDataset(source.path, vocab_size, split));
    }
    WEFT_RETURN_IF_ERROR(split.Commit());
    WEFT_RETURN_IF_ERROR(LoadBoth(train_prefix, validation_prefix, corpus));
  }
  LogDebug(absl::StrCat("corpus of ", sources.size(),
                        " source(s): ", FormatCount(static_cast<double>(corpus.train->tokens())),
                        " training tokens, ",
                        FormatCount(static_cast<double>(corpus.validation->tokens())),
                        " validation tokens, ", corpus.from_cache ? "from " : "written to ", stem));
  return corpus;
}

}  // namespace weft
