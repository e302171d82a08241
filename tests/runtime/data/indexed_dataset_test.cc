#include "runtime/data/indexed_dataset.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/data/indexed_dataset_writer.h"
#include "runtime/storage/durable_file.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

// Megatron-LM's index of two documents of 3 and 2 u16 tokens, and the tokens 1, 2, 300, 4, 65535.
const std::string& GoldenIndex() {
  static const std::string bytes = absl::HexStringToBytes(
      "4d4d4944494458000001000000000000000802000000000000000300000000000000"
      "0300000002000000"
      "00000000000000000600000000000000"
      "000000000000000001000000000000000200000000000000");
  return bytes;
}
const std::string& GoldenIds() {
  static const std::string bytes = absl::HexStringToBytes("010002002c010400ffff");
  return bytes;
}

absl::Status Write(const std::string& prefix, TokenType type,
                   const std::vector<std::vector<int32_t>>& documents) {
  auto writer = IndexedDatasetWriter::Make(prefix, type);
  if (!writer.ok()) return writer.status();
  for (const auto& document : documents) {
    if (absl::Status status = writer->AddDocument(document); !status.ok()) return status;
  }
  return writer->Commit();
}

std::vector<int32_t> ReadAll(const IndexedDataset& dataset) {
  std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens()));
  dataset.Read(0, ids);
  return ids;
}

absl::StatusOr<std::shared_ptr<const IndexedDataset>> LoadBytes(const TestDirectory& directory,
                                                                std::string_view index,
                                                                std::string_view ids) {
  directory.Write("d.idx", index);
  directory.Write("d.bin", ids);
  return IndexedDataset::Load(directory.File("d"));
}

TEST(IndexedDataset, WritesTheGoldenBytes) {
  const TestDirectory directory;
  ASSERT_TRUE(Write(directory.File("d"), TokenType::kU16, {{1, 2, 300}, {4, 65535}}).ok());
  EXPECT_EQ(*LoadFile(directory.File("d.idx")), GoldenIndex());
  EXPECT_EQ(*LoadFile(directory.File("d.bin")), GoldenIds());
}

TEST(IndexedDataset, ReadsTheGoldenBytes) {
  const TestDirectory directory;
  const auto dataset = LoadBytes(directory, GoldenIndex(), GoldenIds());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->token_type(), TokenType::kU16);
  EXPECT_EQ((*dataset)->sequences(), 2);
  ASSERT_EQ((*dataset)->documents(), 2);
  EXPECT_EQ((*dataset)->Document(0).size(), 3);
  EXPECT_EQ((*dataset)->Document(1).begin, 3);
  EXPECT_EQ((*dataset)->Document(1).end, 5);
  EXPECT_EQ(ReadAll(**dataset), (std::vector<int32_t>{1, 2, 300, 4, 65535}));
  std::vector<int32_t> middle(2);
  (*dataset)->Read(2, middle);
  EXPECT_EQ(middle, (std::vector<int32_t>{300, 4}));
}

TEST(IndexedDataset, GoesAroundInEveryType) {
  const TestDirectory directory;
  const std::vector<std::vector<int32_t>> documents = {{0, 255}, {}, {7}};
  for (const TokenType type : {TokenType::kU8, TokenType::kU16, TokenType::kI32}) {
    const std::string prefix = directory.File(Name(type));
    ASSERT_TRUE(Write(prefix, type, documents).ok());
    const auto dataset = IndexedDataset::Load(prefix);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(ReadAll(**dataset), (std::vector<int32_t>{0, 255, 7}));
    EXPECT_EQ((*dataset)->documents(), 3);
    EXPECT_EQ((*dataset)->Document(1).size(), 0);
  }
  EXPECT_EQ(TokenTypeFor(256), TokenType::kU16);
  EXPECT_EQ(TokenTypeFor(65499), TokenType::kU16);
  EXPECT_EQ(TokenTypeFor(65500), TokenType::kI32);
}

TEST(IndexedDataset, HoldsNoDocuments) {
  const TestDirectory directory;
  ASSERT_TRUE(Write(directory.File("d"), TokenType::kU16, {}).ok());
  const auto dataset = IndexedDataset::Load(directory.File("d"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->tokens(), 0);
  EXPECT_EQ((*dataset)->documents(), 0);
}

TEST(IndexedDatasetWriter, RefusesIdsThatTheTypeCannotHold) {
  const TestDirectory directory;
  const absl::Status status = Write(directory.File("d"), TokenType::kU16, {{1, 65536}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "token id 65536 is outside [0, 65535], the range of u16");
  EXPECT_FALSE(Write(directory.File("d"), TokenType::kI32, {{-1}}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));  // nothing half-written stays
}

TEST(IndexedDataset, RefusesEveryTruncation) {
  const TestDirectory directory;
  for (size_t size = 0; size < GoldenIndex().size(); ++size) {
    const auto dataset = LoadBytes(directory, GoldenIndex().substr(0, size), GoldenIds());
    ASSERT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  for (size_t size = 0; size < GoldenIds().size(); ++size) {
    const auto dataset = LoadBytes(directory, GoldenIndex(), GoldenIds().substr(0, size));
    ASSERT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  EXPECT_FALSE(LoadBytes(directory, GoldenIndex() + '\0', GoldenIds()).ok());
  EXPECT_FALSE(LoadBytes(directory, GoldenIndex(), GoldenIds() + '\0').ok());
}

// A flipped bit is refused, except where it says something else that is legal: which document owns
// sequence 1.
TEST(IndexedDataset, RefusesFlippedBits) {
  const TestDirectory directory;
  const size_t middle_boundary = GoldenIndex().size() - 16;
  for (size_t bit = 0; bit < 8 * GoldenIndex().size(); ++bit) {
    std::string index = GoldenIndex();
    index[bit / 8] = static_cast<char>(index[bit / 8] ^ (1 << (bit % 8)));
    const auto dataset = LoadBytes(directory, index, GoldenIds());
    if (bit / 8 == middle_boundary && dataset.ok()) {
      EXPECT_EQ((*dataset)->Document(0).size() + (*dataset)->Document(1).size(), 5);
      continue;
    }
    ASSERT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << "bit " << bit;
    ASSERT_NE(dataset.status().message().find(directory.File("d.idx")), absl::string_view::npos);
  }
}

TEST(IndexedDataset, SaysWhatIsWrong) {
  struct Case {
    size_t offset;
    char value;
    std::string message;
  };
  const TestDirectory directory;
  const std::string bin = directory.File("d.bin");
  const std::vector<Case> cases = {
      {0, 'X', "is not a Megatron index: it does not begin with MMIDIDX"},
      {9, 2, "version 2 is not 1"},
      {17, 7, "token type code 7 is not one of 1 (u8), 4 (i32), 8 (u16)"},
      {25, 127,
       "9151314442816847874 sequences and 3 document boundaries do not fit its size of 82 bytes"},
      {26, 4, "2 sequences and 4 document boundaries do not fit its size of 82 bytes"},
      {37, -1, "sequence 0 has the negative length -16777213"},
      {36, 1, absl::StrCat("sequence 0 ends at byte 131078 but ", bin, " has 10 bytes")},
      {50, 4, "sequence 1 begins at byte 4 where its predecessor ends at 6"},
      {74, 1,
       "document boundary 2 is 1; boundaries must ascend from 0 to 2, the number of sequences"},
  };
  for (const Case& broken : cases) {
    std::string index = GoldenIndex();
    index[broken.offset] = broken.value;
    const absl::Status status = LoadBytes(directory, index, GoldenIds()).status();
    EXPECT_EQ(status.message(), directory.File("d.idx") + ": " + broken.message);
  }
  EXPECT_EQ(IndexedDataset::Load(directory.File("absent")).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace weft
