#include "runtime/checkpoint/checkpoint_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "tests/runtime/checkpoint/saved_job.h"
#include "tests/runtime/test_directory.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

constexpr char kLayout[] = "ep1";

std::set<std::string> NamesIn(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

// What each rank returned, by rank.
using Statuses = std::vector<absl::Status>;

// Runs fn on every rank and collects, so that a rank's error ends nobody else.
Statuses OnRanks(int ranks, const std::function<absl::Status(Communicator&, SavedJob&)>& fn) {
  Statuses statuses(static_cast<size_t>(ranks));
  EXPECT_TRUE(SpawnRanks(ranks, [&](Backend& backend) -> absl::Status {
                WEFT_ASSIGN_OR_RETURN(const auto world, ConnectWorld(backend));
                SavedJob job(backend.rank());
                statuses[static_cast<size_t>(backend.rank())] = fn(*world, job);
                return world->Health();
              }).ok());
  return statuses;
}

void ExpectAll(const Statuses& statuses, const absl::Status& expected) {
  for (const absl::Status& status : statuses) EXPECT_EQ(status, expected);
}

class CheckpointStoreTest : public testing::Test {
 protected:
  std::string Directory() const { return directory_.File("checkpoints"); }

  static SaveArgs ArgsFor(Communicator& world, const SavedJob& job, int64_t step) {
    return {world, step, kLayout, job.Tensors(), {{"tokens", absl::StrCat(step * 10)}}};
  }

  // Saves `step` with that value in every tensor, on all ranks.
  void Save(int ranks, int64_t step, int32_t keep = 2) const {
    ExpectAll(OnRanks(ranks,
                      [&](Communicator& world, SavedJob& job) {
                        job.Set(step);
                        return CheckpointStore(Directory(), keep).Save(ArgsFor(world, job, step));
                      }),
              absl::OkStatus());
  }

  // Loads on all ranks and expects `step` and its values everywhere.
  void ExpectLoads(int ranks, int64_t step, size_t passed_over = 0) const {
    ExpectAll(OnRanks(ranks,
                      [&](Communicator& world, SavedJob& job) -> absl::Status {
                        WEFT_ASSIGN_OR_RETURN(
                            const LoadedCheckpoint loaded,
                            CheckpointStore(Directory(), 2).Load({world, kLayout, job.Asked()}));
                        EXPECT_EQ(loaded.step, step);
                        EXPECT_EQ(loaded.metadata.at("tokens"), absl::StrCat(step * 10));
                        EXPECT_EQ(loaded.passed_over.size(), passed_over);
                        EXPECT_TRUE(job.Holds(step));
                        return absl::OkStatus();
                      }),
              absl::OkStatus());
  }

  // Loads on all ranks, expects an error on each and that no tensor has changed.
  Statuses LoadErrors(
      int ranks, const std::string& layout,
      const std::function<void(SavedJob&, std::vector<NamedTarget>&)>& change) const {
    return OnRanks(ranks, [&](Communicator& world, SavedJob& job) {
      job.Set(-7);
      std::vector<NamedTarget> targets = job.Targets();
      change(job, targets);
      absl::Status status =
          CheckpointStore(Directory(), 2)
              .Load({world, layout,
                     [&](const auto&) -> absl::StatusOr<std::vector<NamedTarget>> {
                       return targets;
                     }})
              .status();
      EXPECT_FALSE(status.ok());
      EXPECT_TRUE(job.Holds(-7));
      return status;
    });
  }

  const TestDirectory directory_;
};

TEST_F(CheckpointStoreTest, GoesAroundOnAnyNumberOfRanks) {
  for (const int ranks : {1, 2, 4}) {
    const int64_t step = 100 * ranks;
    Save(ranks, step);
    ExpectLoads(ranks, step);
    EXPECT_TRUE(VerifyCheckpoint(Directory(), step).ok());
    EXPECT_EQ(NamesIn(CheckpointPath(Directory(), step)).size(), static_cast<size_t>(ranks + 1));
  }
}

TEST_F(CheckpointStoreTest, KeepsTheNewestAndPointsAtIt) {
  for (const int64_t step : {0, 9, 10, 100}) Save(1, step);
  EXPECT_EQ(NamesIn(Directory()), (std::set<std::string>{"step-10", "step-100", "latest"}));
  EXPECT_EQ(std::filesystem::read_symlink(Directory() + "/latest"), "step-100");
  EXPECT_EQ(*ListCheckpoints(Directory()), (std::vector<int64_t>{10, 100}));
  ExpectLoads(1, 100);
}

TEST_F(CheckpointStoreTest, ReplacesTheSameStep) {
  Save(1, 5);
  ExpectAll(
      OnRanks(1,
              [&](Communicator& world, SavedJob& job) {
                job.Set(6);
                return CheckpointStore(Directory(), 2).Save({world, 5, kLayout, job.Tensors(), {}});
              }),
      absl::OkStatus());
  EXPECT_EQ(NamesIn(Directory()), (std::set<std::string>{"step-5", "latest"}));
  OnRanks(1, [&](Communicator& world, SavedJob& job) {
    EXPECT_TRUE(CheckpointStore(Directory(), 2).Load({world, kLayout, job.Asked()}).ok());
    EXPECT_TRUE(job.Holds(6));
    return absl::OkStatus();
  });
}

TEST_F(CheckpointStoreTest, SetsAsideWhatARunWentBackBehind) {
  for (const int64_t step : {10, 20, 30}) Save(1, step, /*keep=*/3);
  Save(1, 15, /*keep=*/3);
  ExpectLoads(1, 15);
  EXPECT_EQ(*ListCheckpoints(Directory()), (std::vector<int64_t>{10, 15}));
  size_t aside = 0;
  for (const std::string& name : NamesIn(Directory())) {
    aside += name.find(".past-") != std::string::npos;
  }
  EXPECT_EQ(aside, 2u);
}

TEST_F(CheckpointStoreTest, RemovesWhatDeadSavesLeft) {
  directory_.Write("checkpoints/step-3.tmp-0123456789abcdef/rank-0.safetensors", "half");
  directory_.Write("checkpoints/latest.tmp-0123456789abcdef", "");
  directory_.Write("checkpoints/notes.txt", "mine");
  Save(1, 4);
  EXPECT_EQ(NamesIn(Directory()), (std::set<std::string>{"step-4", "latest", "notes.txt"}));
}

TEST_F(CheckpointStoreTest, OneRanksErrorReachesAllAndTheJobGoesOn) {
  Save(3, 1);
  const Statuses statuses = OnRanks(3, [&](Communicator& world, SavedJob& job) -> absl::Status {
    job.Set(2);
    SaveArgs args = ArgsFor(world, job, 2);
    if (world.rank() == 1) args.tensors.push_back(args.tensors[0]);
    const CheckpointStore store(Directory(), 2);
    const absl::Status first = store.Save(args);
    EXPECT_EQ(first.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StartsWith(first.message(), "rank 1: ")) << first;
    EXPECT_TRUE(absl::EndsWith(first.message(), "tensor 'expert.w' is given twice")) << first;
    if (world.rank() == 0) {  // nobody writes here before rank 0 joins the next save
      EXPECT_EQ(NamesIn(Directory()), (std::set<std::string>{"step-1", "latest"}));
    }
    return store.Save(ArgsFor(world, job, 2));
  });
  ExpectAll(statuses, absl::OkStatus());
  ExpectLoads(3, 2);
}

TEST_F(CheckpointStoreTest, AFullDiskOnOneRankLeavesNoHalfCheckpoint) {
  Save(2, 1);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1 << 16, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Statuses statuses = OnRanks(2, [&](Communicator& world, SavedJob& job) {
    job.Set(2);
    SaveArgs args = ArgsFor(world, job, 2);
    const std::vector<float> large(1 << 16);
    if (world.rank() == 1) args.tensors.push_back({"large", View(large.data(), {1 << 16})});
    return CheckpointStore(Directory(), 2).Save(args);
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_FALSE(statuses[0].ok());
  EXPECT_EQ(statuses[0], statuses[1]);
  EXPECT_TRUE(absl::StartsWith(statuses[0].message(), "rank 1: cannot write ")) << statuses[0];
  EXPECT_EQ(NamesIn(Directory()), (std::set<std::string>{"step-1", "latest"}));
  ExpectLoads(2, 1);
}

TEST_F(CheckpointStoreTest, AnUnusableDirectoryIsTheSameErrorEverywhere) {
  directory_.Write("checkpoints", "a file");
  const Statuses statuses = OnRanks(2, [&](Communicator& world, SavedJob& job) {
    return CheckpointStore(Directory(), 2).Save(ArgsFor(world, job, 1));
  });
  EXPECT_EQ(statuses[0], statuses[1]);
  EXPECT_EQ(statuses[0].message(),
            absl::StrCat("rank 0: cannot create the directory ", Directory(), ": Not a directory"));
}

TEST_F(CheckpointStoreTest, FindsNothingInAnEmptyDirectory) {
  ExpectAll(LoadErrors(2, kLayout, [](SavedJob&, auto&) {}),
            absl::NotFoundError(Directory() + " holds no checkpoint"));
}

TEST_F(CheckpointStoreTest, NamesWhatDoesNotFit) {
  Save(2, 8);
  const std::string where = "checkpoint " + CheckpointPath(Directory(), 8) + ": ";
  const auto expect = [&](const std::string& message, const Statuses& statuses) {
    ExpectAll(statuses, absl::FailedPreconditionError(where + message));
  };
  expect("rank 1: tensor 'bias' is missing from the checkpoint",
         LoadErrors(2, kLayout, [](SavedJob& job, std::vector<NamedTarget>& targets) {
           if (job.rank_ == 1) targets.push_back({"bias", View(job.weights.data(), {1})});
         }));
  expect("rank 1: the checkpoint holds tensor 'moments', which this job lacks",
         LoadErrors(2, kLayout, [](SavedJob& job, std::vector<NamedTarget>& targets) {
           if (job.rank_ == 1) targets.pop_back();
         }));
  expect(
      "rank 0: tensor 'expert.w' is F32 [3, 4] in the checkpoint but F32 [4, 3] in this job (and "
      "1 more of 2 ranks)",
      LoadErrors(2, kLayout, [](SavedJob& job, std::vector<NamedTarget>& targets) {
        targets[0].view = View(job.weights.data(), {4, 3});
      }));
  expect("rank 0: tensor 'moments' is I64 [5] in the checkpoint but F64 [5] in this job",
         LoadErrors(2, kLayout, [](SavedJob& job, std::vector<NamedTarget>& targets) {
           if (job.rank_ == 0) targets[1].view.dtype = DType::kF64;
         }));
  expect("rank 0: the checkpoint has the layout 'ep1'; this job has 'ep2' (and 1 more of 2 ranks)",
         LoadErrors(2, "ep2", [](SavedJob&, auto&) {}));
  expect("rank 0: the checkpoint was written by 2 rank(s); this job has 3 (and 2 more of 3 ranks)",
         LoadErrors(3, kLayout, [](SavedJob&, auto&) {}));
}

TEST_F(CheckpointStoreTest, DamageOnOneRankMovesAllRanksBack) {
  for (const int64_t step : {1, 2, 3}) Save(3, step, /*keep=*/3);
  std::filesystem::resize_file(CheckpointPath(Directory(), 3) + "/rank-2.safetensors", 100);
  std::filesystem::remove(CheckpointPath(Directory(), 2) + "/rank-1.safetensors");
  ExpectLoads(3, 1, /*passed_over=*/2);
  EXPECT_TRUE(VerifyCheckpoint(Directory(), 1).ok());
  EXPECT_EQ(VerifyCheckpoint(Directory(), 3).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace weft
