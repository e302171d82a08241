#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/checkpoint/checkpoint_store.h"
#include "runtime/storage/durable_file.h"
#include "tests/runtime/checkpoint/saved_job.h"
#include "tests/runtime/test_directory.h"
#include "tests/support/spawn_ranks.h"

// A save is interrupted at each system call that changes the disk, by SIGKILL or by an error of the
// disk; each time the checkpoint before it or the new one must load, bit for bit, and the next save
// must work and leave no rubbish.

namespace weft {
namespace {

// Killed on entry to one of these, the process has carried out exactly those before it.
constexpr char kCalls[] =
    "write,pwrite64,fsync,fdatasync,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,"
    "symlink,symlinkat";

int ExitCode(const std::string& command) {
  const int status = std::system(command.c_str());
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  return WEXITSTATUS(status);
}

class CheckpointCrashTest : public testing::Test {
 protected:
  void SetUp() override {
    if (ExitCode("strace -f -qq -o /dev/null true > /dev/null 2>&1") != 0) {
      GTEST_SKIP() << "strace is not installed or may not trace here";
    }
    InitLog({.level = LogLevel::kError});
  }
  void TearDown() override { InitLog({}); }

  std::string Directory() const { return directory_.File("c"); }

  // One save by the program under strace with this further option; its exit code.
  int Traced(const std::string& option, int64_t step, int64_t value) const {
    return ExitCode(absl::StrCat("strace -f -qq -o ", directory_.File("trace"),
                                 " -e trace=", kCalls, " ", option, " ", CHECKPOINT_WRITER, " ",
                                 Directory(), " ", step, " ", value, " > /dev/null 2>&1"));
  }

  static void WithWorld(const std::function<void(Communicator&)>& fn) {
    EXPECT_TRUE(SpawnRanks(1, [&](Backend& backend) -> absl::Status {
                  WEFT_ASSIGN_OR_RETURN(const auto world, ConnectWorld(backend));
                  fn(*world);
                  return absl::OkStatus();
                }).ok());
  }

  // A directory with one checkpoint, step 1 of value 1.
  void Prepare() const {
    std::filesystem::remove_all(Directory());
    ASSERT_EQ(ExitCode(absl::StrCat(CHECKPOINT_WRITER, " ", Directory(), " 1 1")), 0);
  }

  // Loads without passing anything over; returns which of `values` the tensors hold.
  int64_t LoadedValue(const std::vector<int64_t>& values) const {
    int64_t found = -1;
    WithWorld([&](Communicator& world) {
      SavedJob job(0);
      const auto loaded = CheckpointStore(Directory(), 1).Load({world, "one", job.Asked()});
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      EXPECT_TRUE(loaded->passed_over.empty()) << loaded->passed_over[0];
      for (const int64_t value : values) {
        if (job.Holds(value)) found = value;
      }
    });
    return found;
  }

  // The run after the fault: its save works, and only its checkpoint is left.
  void ExpectNextSaveTidies() const {
    ASSERT_EQ(ExitCode(absl::StrCat(CHECKPOINT_WRITER, " ", Directory(), " 3 3 2> /dev/null")), 0);
    EXPECT_EQ(LoadedValue({3}), 3);
    size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(Directory())) {
      ++entries;
    }
    EXPECT_EQ(entries, 2u);  // step-3 and latest
  }

  // The calls of kCalls that an undisturbed save makes, in order, as strace's injection names them:
  // "fsync:when=2".
  std::vector<std::string> CallsOfASave(int64_t step) const {
    Prepare();
    EXPECT_EQ(Traced("", step, 2), 0);
    std::vector<std::string> calls;
    std::map<std::string, int> count;
    std::ifstream trace(directory_.File("trace"));
    for (std::string line; std::getline(trace, line);) {  // "1234 fsync(3) = 0"
      const std::string head = line.substr(0, line.find('('));
      const std::string name = head.substr(head.rfind(' ') + 1);
      calls.push_back(absl::StrCat(name, ":when=", ++count[name]));
    }
    return calls;
  }

  // Kills the saving of `step` with value 2 at every point.
  void KillEverywhere(int64_t step) const {
    const std::vector<std::string> calls = CallsOfASave(step);
    ASSERT_GT(calls.size(), 15u);
    bool committed = false;
    for (size_t k = 0; k < calls.size(); ++k) {
      Prepare();
      ASSERT_EQ(Traced(absl::StrCat("-e inject=", calls[k], ":signal=KILL"), step, 2),
                128 + SIGKILL)
          << calls[k];
      const int64_t value = LoadedValue({1, 2});
      ASSERT_TRUE(value == 2 || (value == 1 && !committed)) << calls[k] << " loads " << value;
      EXPECT_TRUE(k > 0 || value == 1);
      committed = value == 2;
      ExpectNextSaveTidies();
    }
    EXPECT_TRUE(committed);
    RecordProperty("crash_points", static_cast<int>(calls.size()));
  }

  // Fails every call in `call` in turn with `error` while step 2 is saved.
  void FailEverywhere(const std::string& call, const std::string& error) const {
    bool reached = true;
    for (int64_t k = 1; reached; ++k) {
      Prepare();
      const int code =
          Traced(absl::StrCat("-e inject=", call, ":error=", error, ":when=", k), 2, 2);
      ASSERT_TRUE(code == 0 || code == 3) << code;
      reached = LoadFile(directory_.File("trace"))->find("(INJECTED)") != std::string::npos;
      EXPECT_TRUE(reached || k > 1) << call << " is never called";
      const int64_t value = LoadedValue({1, 2});
      EXPECT_TRUE(value == 2 || (value == 1 && code == 3)) << call << " " << k;
      ExpectNextSaveTidies();
    }
  }

  const TestDirectory directory_;
};

TEST_F(CheckpointCrashTest, KilledAtAnyPointOfANewSave) { KillEverywhere(/*step=*/2); }

TEST_F(CheckpointCrashTest, KilledAtAnyPointOfSavingTheSameStepAgain) {
  KillEverywhere(/*step=*/1);
}

TEST_F(CheckpointCrashTest, DiskErrorsAtAnyPoint) {
  FailEverywhere("write", "ENOSPC");
  FailEverywhere("fsync", "EIO");
  FailEverywhere("rename", "EIO");
  FailEverywhere("mkdir", "EROFS");
  FailEverywhere("symlink", "ENOSPC");
  FailEverywhere("unlinkat", "EIO");
}

}  // namespace
}  // namespace weft
