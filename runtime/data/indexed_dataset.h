#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/storage/mapped_file.h"

// Token ids on disk as Megatron-LM keeps them: PREFIX.bin holds the ids back to back, PREFIX.idx
// says where sequences and documents begin. All little-endian:
//   "MMIDIDX\0\0" | u64 version = 1 | u8 id type | u64 sequences | u64 documents + 1 |
//   i32 length[sequences] (ids) | i64 pointer[sequences] (bytes) | i64 document[documents + 1]
//   (sequence numbers)
// Both files are memory-mapped; reading copies ids out. Immutable, so any number of threads may
// read.

namespace weft {

enum class TokenType : uint8_t { kU8 = 1, kI32 = 4, kU16 = 8 };  // Megatron's codes

constexpr int64_t SizeOf(TokenType type) {
  return type == TokenType::kU8 ? 1 : type == TokenType::kU16 ? 2 : 4;
}
constexpr std::string_view Name(TokenType type) {
  return type == TokenType::kU8 ? "u8" : type == TokenType::kU16 ? "u16" : "i32";
}
// What Megatron writes: u16 below 65500 ids, i32 from there on.
constexpr TokenType TokenTypeFor(int32_t vocab_size) {
  return vocab_size < 65500 ? TokenType::kU16 : TokenType::kI32;
}

inline constexpr std::string_view kIndexMagic{"MMIDIDX\0\0", 9};
inline constexpr uint64_t kIndexVersion = 1;
inline constexpr size_t kIndexHeaderBytes = 9 + 8 + 1 + 8 + 8;

// Ids [begin, end) of the whole dataset.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

class IndexedDataset {
 public:
  // Checks both files completely before use: magic, version, type, exact sizes, lengths, pointers
  // (sequences lie back to back, as every writer of this format leaves them) and document
  // boundaries. An error names the file and the value.
  static absl::StatusOr<std::shared_ptr<const IndexedDataset>> Load(const std::string& prefix);

  const std::string& prefix() const { return prefix_; }
  TokenType token_type() const { return type_; }
  int64_t tokens() const { return tokens_; }
  int64_t sequences() const { return sequences_; }
  int64_t documents() const { return static_cast<int64_t>(documents_.size()); }
  // REQUIRES: 0 <= document < documents().
  TokenRange Document(int64_t document) const { return documents_[static_cast<size_t>(document)]; }

  // Copies ids [begin, begin + out.size()). REQUIRES: within [0, tokens()).
  void Read(int64_t begin, std::span<int32_t> out) const;

 private:
  IndexedDataset() = default;
  absl::Status ParseIndex(std::string_view index);

  std::string prefix_;
  MappedFile ids_;
  TokenType type_ = TokenType::kU16;
  int64_t tokens_ = 0;
  int64_t sequences_ = 0;
  std::vector<TokenRange> documents_;
};

}  // namespace weft
