#include "runtime/data/indexed_dataset_writer.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace weft {
namespace {

template <typename T>
void AppendValue(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

int64_t LargestId(TokenType type) {
  return type == TokenType::kI32 ? std::numeric_limits<int32_t>::max()
                                 : (int64_t{1} << (8 * SizeOf(type))) - 1;
}

}  // namespace

absl::StatusOr<IndexedDatasetWriter> IndexedDatasetWriter::Make(const std::string& prefix,
                                                                TokenType type) {
  WEFT_ASSIGN_OR_RETURN(AtomicFile ids, AtomicFile::Make(prefix + ".bin"));
  return IndexedDatasetWriter(prefix, type, std::move(ids));
}

absl::Status IndexedDatasetWriter::AddDocument(std::span<const int32_t> ids) {
  if (ids.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a document of ", ids.size(), " tokens exceeds the format's limit of 2^31 - 1"));
  }
  const int64_t largest = LargestId(type_);
  std::string bytes;
  bytes.reserve(ids.size() * static_cast<size_t>(SizeOf(type_)));
  for (const int32_t id : ids) {
    if (id < 0 || id > largest) {
      return absl::InvalidArgumentError(absl::StrCat("token id ", id, " is outside [0, ", largest,
                                                     "], the range of ", std::string(Name(type_))));
    }
    // Little-endian: the low bytes of the id come first.
    bytes.append(reinterpret_cast<const char*>(&id), static_cast<size_t>(SizeOf(type_)));
  }
  WEFT_RETURN_IF_ERROR(ids_.Append(bytes));
  lengths_.push_back(static_cast<int32_t>(ids.size()));
  return absl::OkStatus();
}

absl::Status IndexedDatasetWriter::Commit() {
  std::string index(kIndexMagic);
  AppendValue(index, kIndexVersion);
  AppendValue(index, static_cast<uint8_t>(type_));
  AppendValue(index, static_cast<uint64_t>(lengths_.size()));
  AppendValue(index, static_cast<uint64_t>(lengths_.size() + 1));
  for (const int32_t length : lengths_) AppendValue(index, length);
  int64_t pointer = 0;
  for (const int32_t length : lengths_) {
    AppendValue(index, pointer);
    pointer += length * SizeOf(type_);
  }
  for (size_t document = 0; document <= lengths_.size(); ++document) {
    AppendValue(index, static_cast<int64_t>(document));
  }
  WEFT_RETURN_IF_ERROR(ids_.Commit());
  return WriteFileAtomically(prefix_ + ".idx", index);
}

}  // namespace weft
