// `weft launch` with a real mpirun and without; shell scripts stand for weftd.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/temporary_directory.h"
#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/control/run_files.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// With the way to start ranks: an option of `weft launch`, empty for mpirun.
class LaunchCommandTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "/weft-launch-test-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A program that, on rank 0, tells the launcher its run directory as weftd does, and then does as
  // `body` says. $RANK is the rank, $RUN the run directory, $1 what follows the program on the
  // command line.
  std::string WriteProgram(const std::string& body) const {
    std::string path = directory_ + "/program";
    std::ofstream(path) << "#!/bin/sh\nRANK=${WEFT_RANK:-$OMPI_COMM_WORLD_RANK}\nRUN=" << directory_
                        << "\nif [ $RANK = 0 ]; then printf %s \"$RUN\" > $"
                        << kLaunchDirectoryVariable << "/run_directory; fi\n"
                        << body << "\n";
    chmod(path.c_str(), 0755);
    return path;
  }

  int Launch(std::vector<std::string> arguments) {
    if (!GetParam().empty()) arguments.insert(arguments.begin(), GetParam());
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunLaunchCommand(arguments, out, err);
    err_ = err.str();
    return code;
  }
  int LaunchTwo(const std::string& body) {
    return Launch({"-n", "2", "--weftd", WriteProgram(body), "job.yaml", "training.steps=3"});
  }

  nlohmann::json Exit() const {
    std::ifstream file(directory_ + "/exit.json");
    return nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  }

  std::string directory_;
  std::string err_;
};

// Blocks until all ranks are there; the last one goes on alone.
constexpr char kMeet[] =
    "touch $RUN/here.$RANK; while [ ! -e $RUN/here.0 ] || [ ! -e $RUN/here.1 ]; do sleep 0.01; "
    "done; ";
// Blocks until a signal has been handled.
constexpr char kBlock[] = "sleep 600 & CHILD=$!; wait $CHILD; ";

TEST_P(LaunchCommandTest, PassesTheArgumentsOnAndSucceeds) {
  EXPECT_EQ(LaunchTwo("echo \"$@\" > $RUN/arguments.$RANK"), kExitDone);
  for (const char* rank : {"0", "1"}) {
    std::ifstream file(absl::StrCat(directory_, "/arguments.", rank));
    std::string line;
    std::getline(file, line);
    EXPECT_EQ(line, "job.yaml training.steps=3");
  }
  EXPECT_EQ(err_, "");
  EXPECT_EQ(Exit()["exit_code"], 0);
  EXPECT_EQ(Exit()["reason"], "finished");
  EXPECT_EQ(Exit()["mpirun_status"], 0);
}

TEST_P(LaunchCommandTest, ARanksOwnExitCodeComesThrough) {
  EXPECT_EQ(LaunchTwo(absl::StrCat(kMeet, "[ $RANK = 0 ] || exit 5; ", kBlock)), 5);
  EXPECT_EQ(Exit()["exit_code"], 5);
  // mpirun sometimes ends before it has named the rank.
  const bool named = Exit()["rank"] == 1;
  const std::string reason =
      named ? "rank 1 ended with exit code 5" : "a rank ended with exit code 5";
  EXPECT_EQ(Exit()["reason"], reason);
  EXPECT_EQ(err_, "weft launch: " + reason + "\n");
}

TEST_P(LaunchCommandTest, ARankThatIsKilledEndsTheJobWithThree) {
  EXPECT_EQ(LaunchTwo(absl::StrCat(kMeet, "[ $RANK = 1 ] || kill -KILL $$; ", kBlock)),
            kExitWorkerFailed);
  EXPECT_EQ(Exit()["exit_code"], 3);
  EXPECT_EQ(Exit()["mpirun_status"], 137);
}

TEST_P(LaunchCommandTest, TheFirstCauseOfTheRanksIsTheReason) {
  ASSERT_TRUE(
      WriteFailureFile(directory_, {1, 0, "birch", 7, absl::DataLossError("shard 2 is damaged")})
          .ok());
  EXPECT_EQ(LaunchTwo(absl::StrCat(kMeet, "exit 4")), 4);
  EXPECT_EQ(Exit()["rank"], 1);
  EXPECT_EQ(Exit()["reason"], "shard 2 is damaged");
}

TEST_P(LaunchCommandTest, ASignalBecomesACheckpointAndStopOnAllRanks) {
  const std::string body = absl::StrCat("trap 'kill $CHILD; exit 75' USR1; ", kMeet,
                                        "[ $RANK = 0 ] || kill -TERM ", getpid(), "; ", kBlock);
  EXPECT_EQ(LaunchTwo(body), kExitStopped);
  EXPECT_EQ(Exit()["exit_code"], 75);
  EXPECT_EQ(Exit()["rank"], -1);
}

TEST_P(LaunchCommandTest, AJobThatDoesNotStopIsEndedByForce) {
  const std::string program = WriteProgram(absl::StrCat(
      "trap '' USR1; ", kMeet, "[ $RANK = 0 ] || kill -INT ", getpid(), "; exec sleep 600"));
  EXPECT_EQ(Launch({"-n", "2", "--grace=0.1", "--weftd", program, "job.yaml"}), kExitWorkerFailed);
  EXPECT_EQ(Exit()["reason"], "did not end in time after it was asked to, and was ended by force");
}

TEST_P(LaunchCommandTest, AConfigurationThatIsRefusedBeforeTheRunBegins) {
  const std::string program = directory_ + "/refuses";
  std::ofstream(program) << "#!/bin/sh\nexit 2\n";
  chmod(program.c_str(), 0755);
  EXPECT_EQ(Launch({"-n", "1", "--weftd", program, "job.yaml"}), kExitUsage);
  EXPECT_FALSE(fs::exists(directory_ + "/exit.json"));  // there was no run directory
  EXPECT_EQ(err_, "weft launch: rank 0 refused the command line or the configuration\n");
}

TEST_P(LaunchCommandTest, RefusesWhatCannotBeLaunched) {
  const std::string program = WriteProgram("");
  EXPECT_EQ(Launch({"-n", "0", "--weftd", program, "job.yaml"}), kExitUsage);
  EXPECT_EQ(err_, "weft launch: -n '0': the number of ranks, 1 or more, is needed\n");
  EXPECT_EQ(Launch({"-n", "2", "--weftd", program}), kExitUsage);
  EXPECT_EQ(err_, "weft launch: a configuration file is needed\n");
  EXPECT_EQ(Launch({"-n", "2", "--grace", "soon", "--weftd", program, "job.yaml"}), kExitUsage);
  EXPECT_EQ(err_, "weft launch: --grace 'soon': 0 to 1000000 seconds are allowed\n");
  EXPECT_EQ(Launch({"-n", "2", "--weftd", "/no/weftd", "job.yaml"}), kExitUsage);
  EXPECT_EQ(err_, "weft launch: /no/weftd is not a program that can be run\n");
}

// One that has noticed ends first, and then who was killed: as when much memory has to be freed.
TEST(LaunchProcessesTest, ARankThatIsKilledIsTheCauseOfThoseThatEndedBefore) {
  const auto made = TemporaryDirectory::Make();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string& directory = made->path();
  const std::string path = directory + "/program";
  // Rank 1 kills itself when it is asked to end, which is after rank 0 was seen to have failed.
  std::ofstream(path) << "#!/bin/sh\nif [ $WEFT_RANK = 1 ]; then trap 'kill -KILL $$' TERM; touch "
                      << directory << "/ready; while :; do sleep 0.01; done; fi\nwhile [ ! -e "
                      << directory << "/ready ]; do sleep 0.01; done; exit 3\n";
  chmod(path.c_str(), 0755);
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(RunLaunchCommand({"--processes", "-n", "2", "--weftd", path, "job.yaml"}, out, err),
            kExitWorkerFailed);
  EXPECT_EQ(err.str(), "weft launch: rank 1 was killed by signal 9 (Killed)\n");
}

INSTANTIATE_TEST_SUITE_P(Mpirun, LaunchCommandTest, ::testing::Values(""));
INSTANTIATE_TEST_SUITE_P(Processes, LaunchCommandTest, ::testing::Values("--processes"));

}  // namespace
}  // namespace weft
