#include "launch/commands/launch_outcome.h"

#include <gtest/gtest.h>

#include "launch/commands/mpirun.h"

namespace weft {
namespace {

Failure LostRank() {
  return Failure{3, 1, "birch", 7, absl::UnavailableError("rank 3 has not been heard of")};
}

TEST(LaunchOutcomeTest, JudgesWithoutAFirstCause) {
  ExitFile file = JudgeEnd({.status = 0}, std::nullopt);
  EXPECT_EQ(file.exit_code, 0);
  EXPECT_EQ(file.reason, "finished");

  file = JudgeEnd({.status = 137, .rank = 1}, std::nullopt);
  EXPECT_EQ(file.exit_code, 3);
  EXPECT_EQ(file.rank, 1);
  EXPECT_EQ(file.mpirun_status, 137);
  EXPECT_EQ(file.reason, "rank 1 was killed by signal 9 (Killed)");

  file = JudgeEnd({.status = 2, .rank = 0}, std::nullopt);
  EXPECT_EQ(file.exit_code, 2);
  EXPECT_EQ(file.reason, "rank 0 refused the command line or the configuration");

  file = JudgeEnd({.status = 75, .rank = 2, .stop_requested = true}, std::nullopt);
  EXPECT_EQ(file.exit_code, 75);
  EXPECT_EQ(file.rank, -1);

  file = JudgeEnd({.status = 42}, std::nullopt);
  EXPECT_EQ(file.exit_code, 42);
  EXPECT_EQ(file.reason, "a rank ended with exit code 42");

  file = JudgeEnd({.status = 1, .stop_requested = true, .forced = true}, std::nullopt);
  EXPECT_EQ(file.exit_code, 3);
}

TEST(LaunchOutcomeTest, BelievesAParentThatSawARankKilled) {
  const RanksEnd killed{.status = 137, .rank = 2, .witnessed = true};
  ExitFile file = JudgeEnd(killed, LostRank());  // they only saw that somebody is gone
  EXPECT_EQ(file.exit_code, 3);
  EXPECT_EQ(file.rank, 2);
  EXPECT_EQ(file.reason, "rank 2 was killed by signal 9 (Killed)");
  // One stream of a rank had seen that, another was aborted for it and told first.
  const Failure aborted{1, 0, "birch", 7, absl::AbortedError("group \"esp\": aborted")};
  EXPECT_EQ(JudgeEnd(killed, aborted).rank, 2);
  EXPECT_EQ(JudgeEnd(killed, aborted).reason, "rank 2 was killed by signal 9 (Killed)");
  const Failure torn{3, 1, "birch", 7, absl::DataLossError("a torn file")};
  EXPECT_EQ(JudgeEnd(killed, torn).reason, "a torn file");
  // Ranks that leave because one has stopped answering.
  file = JudgeEnd({.status = 3, .rank = 0, .witnessed = true}, LostRank());
  EXPECT_EQ(file.rank, 3);
  EXPECT_EQ(file.reason, "rank 3 has not been heard of");
}

TEST(LaunchOutcomeTest, BelievesTheRanksBeforeMpirun) {
  ExitFile file = JudgeEnd({.status = 137, .rank = 0}, LostRank());
  EXPECT_EQ(file.exit_code, 3);
  EXPECT_EQ(file.rank, 3);
  EXPECT_EQ(file.reason, "rank 3 has not been heard of");
  EXPECT_EQ(JudgeEnd({.status = 5}, LostRank()).exit_code, 5);
  EXPECT_EQ(JudgeEnd({.status = 0}, LostRank()).exit_code, 1);
}

TEST(MpirunWordsTest, FindsTheRankInTheWordsOfOpenMpi) {
  MpirunWords aborted;
  aborted.Read("noise\nMPI_ABORT was invoked on ra");
  EXPECT_EQ(aborted.rank(), -1);
  aborted.Read("nk 3 in communicator MPI_COMM_WORLD\n");
  EXPECT_EQ(aborted.rank(), 3);
  aborted.Read("  Process name: [[28977,1],1]\n");
  EXPECT_EQ(aborted.rank(), 3);  // the first one named

  MpirunWords exited;
  exited.Read("\n  Process name: [[28977,1],12]\n  Exit code:    75\n");
  EXPECT_EQ(exited.rank(), 12);

  MpirunWords killed;
  killed.Read("mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 11.\n");
  EXPECT_EQ(killed.rank(), 1);
}

TEST(MpirunArgumentsTest, PutsTheProgramLast) {
  LaunchOptions options;
  options.ranks = 4;
  options.command = {"/bin/weftd", "job.yaml", "a.b=1"};
  const std::vector<std::string> arguments = MpirunArguments(options);
  const std::vector<std::string> tail(arguments.end() - 5, arguments.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"-n", "4", "/bin/weftd", "job.yaml", "a.b=1"}));
}

}  // namespace
}  // namespace weft
