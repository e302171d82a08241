#include "runtime/storage/durable_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>

#include "runtime/storage/digest.h"
#include "runtime/storage/mapped_file.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

size_t EntriesIn(const std::string& directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST(Digest, AgreesWithXxhsum) {  // printf '' | xxhsum -H128; printf 'weft' | xxhsum -H128
  EXPECT_EQ(DigestOf(""), "99aa06d3014798d86001c324468d497f");
  Digester digester;
  digester.Append("we");
  digester.Append("ft");
  EXPECT_EQ(digester.Hex(), DigestOf("weft"));
  EXPECT_EQ(digester.Hex(), "69aeedc904d9a734126c4f6354db18ad");
}

TEST(AtomicFile, AppearsWholeAndReplaces) {
  const TestDirectory directory;
  const std::string path = directory.File("f");
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  auto file = AtomicFile::Make(path);
  ASSERT_TRUE(file.ok());
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(file->Append("head").ok());
  ASSERT_TRUE(file->Append(large).ok());
  EXPECT_EQ(*LoadFile(path), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(*LoadFile(path), "head" + large);
  EXPECT_EQ(EntriesIn(directory.path()), 1u);

  const auto digest = DigestFile(path);
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(digest->size, file->size());
  EXPECT_EQ(digest->digest, DigestOf("head" + large));
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TestDirectory directory;
  {
    auto file = AtomicFile::Make(directory.File("f"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("half").ok());
    EXPECT_EQ(EntriesIn(directory.path()), 1u);
  }
  EXPECT_EQ(EntriesIn(directory.path()), 0u);
}

TEST(AtomicFile, KeepsTheOldContentWhenTheDiskRefuses) {
  const TestDirectory directory;
  const std::string path = directory.File("f");
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1024, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileAtomically(path, std::string(4096, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("cannot write " + path), absl::string_view::npos) << status;
  EXPECT_EQ(*LoadFile(path), "old");
  EXPECT_EQ(EntriesIn(directory.path()), 1u);
}

TEST(MappedFile, ReadsAndExplains) {
  const TestDirectory directory;
  const auto file = MappedFile::Load(directory.Write("f", "content"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bytes(), "content");
  const auto empty = MappedFile::Load(directory.Write("e", ""));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->bytes().empty());
  EXPECT_EQ(MappedFile::Load(directory.File("absent")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Load(directory.path()).status().message(),
            directory.path() + " is not a regular file");
}

}  // namespace
}  // namespace weft
