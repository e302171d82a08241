#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/indexed_dataset.h"
#include "runtime/storage/durable_file.h"

// Writes PREFIX.bin and PREFIX.idx (indexed_dataset.h), one sequence a document. Nothing stands
// under either name until Commit(); the index comes last, so that an index always belongs to
// complete ids.

namespace weft {

class IndexedDatasetWriter {
 public:
  static absl::StatusOr<IndexedDatasetWriter> Make(const std::string& prefix, TokenType type);

  // kInvalidArgument: an id that the type cannot hold, or more than 2^31 - 1 ids.
  absl::Status AddDocument(std::span<const int32_t> ids);
  // Blocks until both files are on disk. Nothing may follow.
  absl::Status Commit();

  int64_t tokens() const { return ids_.size() / SizeOf(type_); }

 private:
  IndexedDatasetWriter(std::string prefix, TokenType type, AtomicFile ids)
      : prefix_(std::move(prefix)), type_(type), ids_(std::move(ids)) {}

  std::string prefix_;
  TokenType type_;
  AtomicFile ids_;
  std::vector<int32_t> lengths_;
};

}  // namespace weft
