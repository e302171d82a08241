#include "launch/control/run_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace weft {
namespace {

namespace fs = std::filesystem;

class RunFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/weft-run-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(fs::path(directory_) / name) << text;
  }
  std::string Read(const std::string& name) {
    std::ifstream file(fs::path(directory_) / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  size_t CountFiles() {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  std::string directory_;
};

TEST_F(RunFilesTest, ServiceFileComesBackAsWritten) {
  const ServiceFile written = MakeServiceFile("127.0.0.1:5", 0xfedcba9876543210u);
  ASSERT_TRUE(WriteServiceFile(directory_, written).ok());
  const auto read = LoadServiceFile(directory_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->address, "127.0.0.1:5");
  EXPECT_EQ(read->pid, getpid());
  EXPECT_EQ(read->started, written.started);
  EXPECT_EQ(read->job_id, 0xfedcba9876543210u);
  EXPECT_EQ(CountFiles(), 1u);  // no draft stays
  RemoveServiceFile(directory_);
  EXPECT_EQ(LoadServiceFile(directory_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RunFilesTest, NamesTheFileAndKeyThatAreWrong) {
  Write("service.json", "{\"address\": ");
  EXPECT_EQ(LoadServiceFile(directory_).status().message(),
            directory_ + "/service.json is not a JSON object");
  Write("service.json", R"({"address": "a", "pid": "seven"})");
  EXPECT_EQ(LoadServiceFile(directory_).status().message(),
            directory_ + "/service.json: key 'pid' is missing or of another type");
}

TEST_F(RunFilesTest, TheFirstFailureStays) {
  const Failure first{3, 1, "birch", 77, absl::DataLossError("rank 3: a \"shard\" is damaged")};
  const Failure second{0, 0, "alder", 78, absl::UnavailableError("peer gone")};
  ASSERT_TRUE(WriteFailureFile(directory_, first).ok());
  ASSERT_TRUE(WriteFailureFile(directory_, second).ok());
  const auto read = LoadFailureFile(directory_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->rank, 3);
  EXPECT_EQ(read->node, 1);
  EXPECT_EQ(read->host, "birch");
  EXPECT_EQ(read->pid, 77);
  EXPECT_EQ(read->cause, first.cause);
  EXPECT_EQ(CountFiles(), 1u);
  RemoveOutcomeFiles(directory_);
  EXPECT_EQ(CountFiles(), 0u);
}

TEST_F(RunFilesTest, WritesExitFile) {
  const ExitFile file{3, "rank 1 died", 1, 137, UtcNow()};
  ASSERT_TRUE(WriteExitFile(directory_, file).ok());
  const auto object = nlohmann::json::parse(Read("exit.json"));
  EXPECT_EQ(object["exit_code"], 3);
  EXPECT_EQ(object["reason"], "rank 1 died");
  EXPECT_EQ(object["rank"], 1);
  EXPECT_EQ(object["mpirun_status"], 137);
  EXPECT_EQ(object["ended"].get<std::string>().size(), std::string("2024-01-01T00:00:00Z").size());
}

TEST_F(RunFilesTest, AMissingDirectoryIsAnErrorThatNamesTheFile) {
  const absl::Status status = WriteExitFile(directory_ + "/none", ExitFile());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("/none/exit.json"), absl::string_view::npos) << status;
}

TEST_F(RunFilesTest, AnnouncesTheRunDirectoryOnlyUnderLaunch) {
  ASSERT_EQ(unsetenv(kLaunchDirectoryVariable), 0);
  ASSERT_TRUE(AnnounceRunDirectory("runs/a").ok());
  EXPECT_EQ(LoadAnnouncedRunDirectory(directory_).status().code(), absl::StatusCode::kNotFound);
  ASSERT_EQ(setenv(kLaunchDirectoryVariable, directory_.c_str(), 1), 0);
  ASSERT_TRUE(AnnounceRunDirectory("runs/a").ok());
  EXPECT_EQ(*LoadAnnouncedRunDirectory(directory_), "runs/a");
  unsetenv(kLaunchDirectoryVariable);
}

}  // namespace
}  // namespace weft
