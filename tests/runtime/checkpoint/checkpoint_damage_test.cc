#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/checkpoint/checkpoint_store.h"
#include "runtime/storage/durable_file.h"
#include "tests/runtime/checkpoint/saved_job.h"
#include "tests/runtime/test_directory.h"
#include "tests/support/spawn_ranks.h"

// Every byte of every file of a checkpoint is damaged in turn; each time the load must notice and
// take the one before.

namespace weft {
namespace {

class CheckpointDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    InitLog({.level = LogLevel::kError});  // thousands of expected warnings
    WithWorld([&](Communicator& world) {
      SavedJob job(0);
      for (const int64_t step : {1, 2}) {
        job.Set(step);
        EXPECT_TRUE(store_.Save({world, step, "one", job.Tensors(), {{"loss", "2.5"}}}).ok());
      }
    });
  }
  void TearDown() override { InitLog({}); }

  static void WithWorld(const std::function<void(Communicator&)>& fn) {
    EXPECT_TRUE(SpawnRanks(1, [&](Backend& backend) -> absl::Status {
                  WEFT_ASSIGN_OR_RETURN(const auto world, ConnectWorld(backend));
                  fn(*world);
                  return absl::OkStatus();
                }).ok());
  }

  // The step that is loaded, its tensors checked.
  int64_t LoadedStep(Communicator& world) const {
    SavedJob job(0);
    const auto loaded = store_.Load({world, "one", job.Asked()});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (!loaded.ok()) return -1;
    EXPECT_TRUE(job.Holds(loaded->step));
    EXPECT_EQ(loaded->passed_over.size(), static_cast<size_t>(2 - loaded->step));
    return loaded->step;
  }

  std::string File(int64_t step, const std::string& name) const {
    return CheckpointPath(store_directory_, step) + "/" + name;
  }

  const TestDirectory directory_;
  const std::string store_directory_ = directory_.File("c");
  const CheckpointStore store_{store_directory_, 2};
};

TEST_F(CheckpointDamageTest, EveryFlippedByteIsNoticed) {
  WithWorld([&](Communicator& world) {
    for (const char* name : {"manifest.json", "rank-0.safetensors"}) {
      const std::string original = *LoadFile(File(2, name));
      for (size_t i = 0; i < original.size(); ++i) {
        std::string damaged = original;
        damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
        directory_.Write("c/step-2/" + std::string(name), damaged);
        ASSERT_EQ(LoadedStep(world), 1) << name << " byte " << i;
      }
      directory_.Write("c/step-2/" + std::string(name), original);
      ASSERT_EQ(LoadedStep(world), 2);
    }
  });
}

TEST_F(CheckpointDamageTest, EveryTruncationIsNoticed) {
  WithWorld([&](Communicator& world) {
    for (const char* name : {"manifest.json", "rank-0.safetensors"}) {
      const std::string original = *LoadFile(File(2, name));
      for (size_t size = original.size(); size-- > 0;) {
        std::filesystem::resize_file(File(2, name), size);
        ASSERT_EQ(LoadedStep(world), 1) << name << " cut to " << size;
      }
      std::filesystem::remove(File(2, name));
      ASSERT_EQ(LoadedStep(world), 1);
      directory_.Write("c/step-2/" + std::string(name), original);
    }
    ASSERT_EQ(LoadedStep(world), 2);
  });
}

TEST_F(CheckpointDamageTest, FilesOfAnotherStepAreNoticed) {
  WithWorld([&](Communicator& world) {
    constexpr auto kReplace = std::filesystem::copy_options::overwrite_existing;
    const std::string original = *LoadFile(File(2, "rank-0.safetensors"));
    std::filesystem::copy_file(File(1, "rank-0.safetensors"), File(2, "rank-0.safetensors"),
                               kReplace);
    EXPECT_EQ(LoadedStep(world), 1);
    std::filesystem::copy_file(File(1, "manifest.json"), File(2, "manifest.json"), kReplace);
    EXPECT_EQ(LoadedStep(world), 1);  // a consistent copy of step 1 under the name of step 2
    directory_.Write("c/step-2/rank-0.safetensors", original);
    EXPECT_EQ(LoadedStep(world), 1);
  });
}

TEST_F(CheckpointDamageTest, NothingWholeIsAnErrorThatSaysWhy) {
  WithWorld([&](Communicator& world) {
    for (const int64_t step : {1, 2}) std::filesystem::resize_file(File(step, "manifest.json"), 9);
    SavedJob job(0);
    job.Set(-7);
    const absl::Status status = store_.Load({world, "one", job.Asked()}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(status.message().find("step-2: rank 0: "), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find("step-1: rank 0: "), absl::string_view::npos) << status;
    EXPECT_TRUE(job.Holds(-7));
  });
}

}  // namespace
}  // namespace weft
