#include "runtime/data/tokenizer.h"

#include <gtest/gtest.h>

#include <string>

namespace weft {
namespace {

TEST(BytesTokenizer, MapsEveryByteToItsValue) {
  const auto tokenizer = MakeTokenizer("bytes");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->name(), "bytes");
  EXPECT_EQ((*tokenizer)->vocab_size(), 256);
  EXPECT_FALSE((*tokenizer)->end_of_document().has_value());
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
  const std::vector<int32_t> ids = (*tokenizer)->Encode(text);
  ASSERT_EQ(ids.size(), 256u);
  for (int32_t byte = 0; byte < 256; ++byte) EXPECT_EQ(ids[static_cast<size_t>(byte)], byte);
  EXPECT_EQ((*tokenizer)->TextBytes(ids), 256);
  EXPECT_TRUE((*tokenizer)->Encode("").empty());
}

TEST(MakeTokenizer, ListsTheKnownNames) {
  const absl::Status status = MakeTokenizer("bpe").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "unknown tokenizer 'bpe'; known tokenizers: bytes");
}

}  // namespace
}  // namespace weft
