#include "runtime/data/indexed_dataset.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

static_assert(std::endian::native == std::endian::little, "ids and the index are read in place");

// The value of type T at a byte offset; nothing in the index is aligned.
template <typename T>
T At(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

absl::StatusOr<TokenType> ParseTokenType(uint8_t code) {
  for (const TokenType type : {TokenType::kU8, TokenType::kU16, TokenType::kI32}) {
    if (code == static_cast<uint8_t>(type)) return type;
  }
  return absl::InvalidArgumentError(absl::StrCat("token type code ", static_cast<int>(code),
                                                 " is not one of 1 (u8), 4 (i32), 8 (u16)"));
}

template <typename T>
void CopyIds(const char* from, std::span<int32_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    T id;
    std::memcpy(&id, from + i * sizeof id, sizeof id);
    out[i] = static_cast<int32_t>(id);
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const IndexedDataset>> IndexedDataset::Load(
    const std::string& prefix) {
  std::shared_ptr<IndexedDataset> dataset(new IndexedDataset);
  dataset->prefix_ = prefix;
  WEFT_ASSIGN_OR_RETURN(const MappedFile index, MappedFile::Load(prefix + ".idx"));
  WEFT_ASSIGN_OR_RETURN(dataset->ids_, MappedFile::Load(prefix + ".bin"));
  if (const absl::Status status = dataset->ParseIndex(index.bytes()); !status.ok()) {
    return WithContext(status, index.path());
  }
  return std::shared_ptr<const IndexedDataset>(std::move(dataset));
}

absl::Status IndexedDataset::ParseIndex(std::string_view index) {
  if (index.size() < kIndexHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        index.size(), " bytes are shorter than the header of an index (", kIndexHeaderBytes, ")"));
  }
  if (index.substr(0, kIndexMagic.size()) != kIndexMagic) {
    return absl::InvalidArgumentError("is not a Megatron index: it does not begin with MMIDIDX");
  }
  if (const auto version = At<uint64_t>(index, 9); version != kIndexVersion) {
    return absl::InvalidArgumentError(absl::StrCat("version ", version, " is not 1"));
  }
  WEFT_ASSIGN_OR_RETURN(type_, ParseTokenType(At<uint8_t>(index, 17)));
  const auto sequences = At<uint64_t>(index, 18);
  const auto boundaries = At<uint64_t>(index, 26);
  const uint64_t body = index.size() - kIndexHeaderBytes;
  if (sequences > body / 12 || boundaries > body / 8 || 12 * sequences + 8 * boundaries != body) {
    return absl::InvalidArgumentError(absl::StrCat(sequences, " sequences and ", boundaries,
                                                   " document boundaries do not fit its size of ",
                                                   index.size(), " bytes"));
  }

  const std::string_view lengths = index.substr(kIndexHeaderBytes, 4 * sequences);
  const std::string_view pointers = index.substr(kIndexHeaderBytes + 4 * sequences, 8 * sequences);
  const std::string_view documents = index.substr(kIndexHeaderBytes + 12 * sequences);
  const auto bin_bytes = static_cast<int64_t>(ids_.bytes().size());
  std::vector<int64_t> first_id(sequences + 1, 0);  // of every sequence
  for (size_t i = 0; i < sequences; ++i) {
    const auto length = At<int32_t>(lengths, 4 * i);
    const auto pointer = At<int64_t>(pointers, 8 * i);
    if (length < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("sequence ", i, " has the negative length ", length));
    }
    if (pointer != first_id[i] * SizeOf(type_)) {
      return absl::InvalidArgumentError(absl::StrCat("sequence ", i, " begins at byte ", pointer,
                                                     " where its predecessor ends at ",
                                                     first_id[i] * SizeOf(type_)));
    }
    first_id[i + 1] = first_id[i] + length;
    if (first_id[i + 1] * SizeOf(type_) > bin_bytes) {
      return absl::InvalidArgumentError(absl::StrCat("sequence ", i, " ends at byte ",
                                                     first_id[i + 1] * SizeOf(type_), " but ",
                                                     ids_.path(), " has ", bin_bytes, " bytes"));
    }
  }
  if (first_id.back() * SizeOf(type_) != bin_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("its sequences hold ",
                                                   first_id.back() * SizeOf(type_), " bytes but ",
                                                   ids_.path(), " has ", bin_bytes, " bytes"));
  }

  if (boundaries == 0) return absl::InvalidArgumentError("has no document boundaries");
  int64_t previous = 0;
  documents_.reserve(boundaries - 1);
  for (size_t i = 0; i < boundaries; ++i) {
    const auto boundary = At<int64_t>(documents, 8 * i);
    const bool in_range = boundary >= previous && boundary <= static_cast<int64_t>(sequences);
    const bool first_is_zero = i > 0 || boundary == 0;
    const bool last_is_end = i + 1 < boundaries || boundary == static_cast<int64_t>(sequences);
    if (!in_range || !first_is_zero || !last_is_end) {
      return absl::InvalidArgumentError(absl::StrCat("document boundary ", i, " is ", boundary,
                                                     "; boundaries must ascend from 0 to ",
                                                     sequences, ", the number of sequences"));
    }
    if (i > 0) {
      documents_.push_back(
          {first_id[static_cast<size_t>(previous)], first_id[static_cast<size_t>(boundary)]});
    }
    previous = boundary;
  }
  sequences_ = static_cast<int64_t>(sequences);
  tokens_ = first_id.back();
  return absl::OkStatus();
}

void IndexedDataset::Read(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  WEFT_CHECK(begin >= 0 && count <= tokens_ && begin <= tokens_ - count, "ids within the dataset");
  const char* from = ids_.bytes().data() + begin * SizeOf(type_);
  switch (type_) {
    case TokenType::kU8:
      return CopyIds<uint8_t>(from, out);
    case TokenType::kU16:
      return CopyIds<uint16_t>(from, out);
    case TokenType::kI32:
      return CopyIds<int32_t>(from, out);
  }
}

}  // namespace weft
