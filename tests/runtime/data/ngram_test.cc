#include "runtime/data/ngram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "runtime/data/indexed_dataset_writer.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

class NgramTest : public testing::Test {
 protected:
  NgramTest() : tokenizer_(*MakeTokenizer("bytes")) {}

  std::shared_ptr<const IndexedDataset> Dataset(const std::string& name,
                                                const std::vector<std::string>& documents) const {
    auto writer = IndexedDatasetWriter::Make(directory_.File(name), TokenType::kU16);
    EXPECT_TRUE(writer.ok());
    for (const std::string& document : documents) {
      EXPECT_TRUE(writer->AddDocument(tokenizer_->Encode(document)).ok());
    }
    EXPECT_TRUE(writer->Commit().ok());
    return *IndexedDataset::Load(directory_.File(name));
  }

  const TestDirectory directory_;
  const std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(NgramTest, CountsByHand) {
  // Unigrams: a 4, b 3 of 7. Pairs: ab 3, ba 2; "ba" across the two documents is no pair.
  const auto train = Dataset("train", {"ababa", "ab"});
  const auto validation = Dataset("validation", {"abc"});
  const auto baseline = MeasureNgrams(*train, *validation, *tokenizer_);
  ASSERT_TRUE(baseline.ok()) << baseline.status();
  const double a = std::log2((7.0 + 256) / (4 + 1));
  const double b = std::log2((7.0 + 256) / (3 + 1));
  const double c = std::log2((7.0 + 256) / 1);
  EXPECT_DOUBLE_EQ(baseline->unigram_bits_per_byte, (a + b + c) / 3);
  const double ab = std::log2((3.0 + 256) / (3 + 1));
  const double bc = std::log2((2.0 + 256) / 1);
  EXPECT_DOUBLE_EQ(baseline->bigram_bits_per_byte, (a + ab + bc) / 3);
}

TEST_F(NgramTest, KnowsUniformNoise) {  // a text that was never seen costs 8 bits a byte
  const auto train = Dataset("train", {"x"});
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
  const auto baseline = MeasureNgrams(*train, *Dataset("validation", {text}), *tokenizer_);
  ASSERT_TRUE(baseline.ok());
  EXPECT_NEAR(baseline->unigram_bits_per_byte, 8, 0.01);
  EXPECT_NEAR(baseline->bigram_bits_per_byte, 8, 0.01);
}

TEST_F(NgramTest, NeedsTokensOfTheVocabulary) {
  const auto text = Dataset("text", {"x"});
  const auto empty = Dataset("empty", {});
  EXPECT_EQ(MeasureNgrams(*text, *empty, *tokenizer_).status().message(),
            directory_.File("empty") + " holds no tokens");
  auto writer = IndexedDatasetWriter::Make(directory_.File("big"), TokenType::kU16);
  ASSERT_TRUE(writer->AddDocument(std::vector<int32_t>{256}).ok() && writer->Commit().ok());
  EXPECT_EQ(MeasureNgrams(**IndexedDataset::Load(directory_.File("big")), *text, *tokenizer_)
                .status()
                .message(),
            directory_.File("big") + " holds the token id 256, outside the vocabulary of 256");
}

}  // namespace
}  // namespace weft
