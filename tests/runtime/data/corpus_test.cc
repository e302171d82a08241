#include "runtime/data/corpus.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/data/indexed_dataset_writer.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

class CorpusTest : public testing::Test {
 protected:
  DataOptions Options(std::vector<std::string> paths, double validation_fraction = 0.25) const {
    DataOptions options;
    options.paths = std::move(paths);
    options.cache_directory = directory_.File("cache");
    options.validation_fraction = validation_fraction;
    return options;
  }

  std::string Error(const DataOptions& options, int32_t vocab_size = 256) const {
    return std::string(LoadCorpus(options, vocab_size).status().message());
  }

  static std::string Text(const IndexedDataset& dataset) {
    std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens()));
    dataset.Read(0, ids);
    return {ids.begin(), ids.end()};
  }

  const TestDirectory directory_;
};

TEST_F(CorpusTest, HoldsOutTheTailOfEveryDocument) {
  directory_.Write("text/b.txt", "BBBBBBbb");
  directory_.Write("text/a/deep.txt", "AAAa");
  directory_.Write("text/ignored.md", "no text file");
  const std::string single = directory_.Write("single.log", "CCCCCCCCCccc");
  const auto corpus = LoadCorpus(Options({directory_.File("text"), single}), 256);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(Text(*corpus->train), "AAABBBBBBCCCCCCCCC");
  EXPECT_EQ(Text(*corpus->validation), "abbccc");
  EXPECT_EQ(corpus->train->documents(), 3);
  EXPECT_EQ(corpus->train->token_type(), TokenType::kU16);
  EXPECT_EQ(corpus->tokenizer->name(), "bytes");
  EXPECT_FALSE(corpus->from_cache);
}

TEST_F(CorpusTest, IsBuiltOnce) {
  const std::string path = directory_.Write("a.txt", "AAAa");
  ASSERT_TRUE(LoadCorpus(Options({path}), 256).ok());
  EXPECT_TRUE(LoadCorpus(Options({path}), 256)->from_cache);
  EXPECT_FALSE(LoadCorpus(Options({path}, 0.5), 256)->from_cache);
  directory_.Write("a.txt", "AAAb");  // same size, other content
  const auto changed = LoadCorpus(Options({path}), 256);
  ASSERT_TRUE(changed.ok());
  EXPECT_FALSE(changed->from_cache);
  EXPECT_EQ(Text(*changed->validation), "b");
}

TEST_F(CorpusTest, RebuildsAnIncompleteCache) {
  const std::string path = directory_.Write("a.txt", "AAAa");
  const auto first = LoadCorpus(Options({path}), 256);
  ASSERT_TRUE(first.ok());
  std::filesystem::resize_file(first->train->prefix() + ".bin", 2);
  const auto second = LoadCorpus(Options({path}), 256);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->from_cache);
  EXPECT_EQ(Text(*second->train), "AAA");
}

TEST_F(CorpusTest, ReadsAnExistingDataset) {
  const std::string prefix = directory_.File("tokens");
  auto writer = IndexedDatasetWriter::Make(prefix, TokenType::kI32);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->AddDocument(std::vector<int32_t>{'x', 'y', 'z', 300}).ok());
  ASSERT_TRUE(writer->Commit().ok());
  const auto corpus = LoadCorpus(Options({prefix}), 301);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(Text(*corpus->train), "xyz");
  EXPECT_EQ(corpus->validation->tokens(), 1);
  EXPECT_EQ(Error(Options({prefix}), 300),
            prefix + ": token 3 has the id 300 but model.vocab_size is 300");
}

TEST_F(CorpusTest, NeedsNoValidationPart) {
  const auto corpus = LoadCorpus(Options({directory_.Write("a.txt", "AAAa")}, 0), 256);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(Text(*corpus->train), "AAAa");
  EXPECT_EQ(corpus->validation->tokens(), 0);
}

TEST_F(CorpusTest, ExplainsBadInput) {
  const std::string text = directory_.Write("a.txt", "AAAa");
  const std::string empty = directory_.Write("empty.txt", "");
  const std::string no_text = directory_.Write("folder/readme.md", "x");
  EXPECT_EQ(Error(Options({})),
            "data.paths is empty; name text files, directories of *.txt or a .bin/.idx prefix");
  EXPECT_EQ(Error(Options({empty})), empty + " is empty");
  EXPECT_EQ(Error(Options({directory_.File("folder")})),
            "the directory " + directory_.File("folder") + " holds no file named *.txt");
  EXPECT_EQ(Error(Options({directory_.File("absent")})),
            directory_.File("absent") +
                " is neither a text file, nor a directory, nor the prefix of a .bin/.idx pair");
  EXPECT_EQ(Error(Options({text}, 1)), "data.validation_fraction 1 is outside [0, 1)");
  EXPECT_EQ(Error(Options({text}, 0.01)),
            "data.validation_fraction 0.01 of 4 tokens leaves nothing for validation");
  EXPECT_EQ(Error(Options({text}), 128),
            "data.tokenizer 'bytes' has 256 ids but model.vocab_size is 128");
  DataOptions unknown = Options({text});
  unknown.tokenizer = "bpe";
  EXPECT_EQ(Error(unknown), "unknown tokenizer 'bpe'; known tokenizers: bytes");
  directory_.Write("broken.idx", "x");
  directory_.Write("broken.bin", "x");
  EXPECT_EQ(
      Error(Options({directory_.File("broken")})),
      directory_.File("broken.idx") + ": 1 bytes are shorter than the header of an index (34)");
}

}  // namespace
}  // namespace weft
