// Ranks as real processes: this program starts itself.

#include "launch/processes/spawn_processes.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/temporary_directory.h"
#include "comm/socket/socket_session.h"
#include "gtest/gtest.h"
#include "launch/processes/rank_processes.h"

namespace weft {
namespace {

constexpr absl::Duration kPatient = absl::Seconds(60);

bool Says(const absl::Status& status, const std::string& words) {
  return absl::StrContains(absl::string_view(status.message().data(), status.message().size()),
                           words);
}

// --- What a rank does, by its first argument.

using Role = absl::Status (*)(Backend& backend, Communicator& world);

absl::Status AddUp(Backend& backend, Communicator& world) {
  constexpr int64_t kElements = 300000;
  std::vector<int64_t> values(static_cast<size_t>(kElements), 1 + backend.rank());
  WEFT_RETURN_IF_ERROR(world.AllReduce(View(values.data(), {kElements}), ReduceOp::kSum));
  const int64_t ranks = backend.world_size();
  for (const int64_t value : values) {
    if (value != ranks * (ranks + 1) / 2) return absl::InternalError("a wrong sum");
  }
  return absl::OkStatus();
}

// Rank 1 dies while the others wait for it; they must be told at once, and whom they have lost.
// They leave together: who leaves is lost, too, for who has not looked yet.
absl::Status LoseRankOne(Backend& backend, Communicator& world) {
  std::vector<RankId> group = {RankId{1}};
  if (backend.rank() != 1) {
    group.clear();
    for (int rank = 0; rank < backend.world_size(); ++rank) {
      if (rank != 1) group.push_back(RankId{rank});
    }
  }
  WEFT_ASSIGN_OR_RETURN(const auto survivors, backend.Connect("survivors", group, kPatient));
  if (backend.rank() == 1) raise(SIGKILL);
  const absl::Status lost = world.Barrier();
  WEFT_RETURN_IF_ERROR(survivors->Barrier());
  if (absl::IsUnavailable(lost) && Says(lost, "rank 1 has closed its connection")) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("the barrier of a lost rank says: ", lost.ToString()));
}

// The others wait until they are killed.
absl::Status FailOnTwo(Backend& backend, Communicator& /*world*/) {
  if (backend.rank() == 2) _exit(7);
  pause();
  return absl::OkStatus();
}

absl::Status Hang(Backend& /*backend*/, Communicator& /*world*/) {
  pause();
  return absl::OkStatus();
}

int RunRole(const RankEnvironment& environment, const std::string& name) {
  const std::vector<std::pair<std::string, Role>> roles = {{"add_up", AddUp},
                                                           {"lose_rank_one", LoseRankOne},
                                                           {"fail_on_two", FailOnTwo},
                                                           {"hang", Hang}};
  const auto run = [&]() -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(const auto session, SocketSession::Open(environment));
    const auto backend = session->MakeBackend();
    std::vector<RankId> ranks;
    ranks.reserve(static_cast<size_t>(session->world_size()));
    for (int rank = 0; rank < session->world_size(); ++rank) ranks.push_back(RankId{rank});
    WEFT_ASSIGN_OR_RETURN(const auto world, backend->Connect("world", ranks, kPatient));
    WEFT_RETURN_IF_ERROR(world->Barrier());
    for (const auto& [role, body] : roles) {
      if (role == name) return body(*backend, *world);
    }
    return absl::InvalidArgumentError(absl::StrCat("no role ", name));
  };
  const absl::Status end = run();
  if (!end.ok()) std::fputs(absl::StrCat(end.ToString(), "\n").c_str(), stderr);
  return end.ok() ? 0 : 1;
}

// --- The tests.

absl::StatusOr<std::unique_ptr<RankProcesses>> StartRanks(int32_t ranks,
                                                          std::vector<std::string> command,
                                                          const std::string& rendezvous) {
  RankProcessesOptions options;
  options.ranks = ranks;
  options.command = std::move(command);
  options.rendezvous = rendezvous;
  return RankProcesses::Start(options);
}

void WaitForAll(RankProcesses& ranks) {
  const absl::Time until = absl::Now() + kPatient;
  while (!ranks.running().empty() && absl::Now() < until) ranks.Wait(until);
}

TEST(SpawnProcessesTest, RanksMeetAndAddUp) {
  for (const int32_t ranks : {1, 4}) {
    const absl::Status status = SpawnProcesses(ranks, {"add_up"}, kPatient);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(SpawnProcessesTest, SaysWhoFailedAndHow) {
  EXPECT_EQ(SpawnProcesses(3, {"fail_on_two"}, kPatient),
            absl::UnavailableError("rank 2 ended with exit code 7"));
  EXPECT_EQ(SpawnProcesses(3, {"lose_rank_one"}, kPatient),
            absl::UnavailableError("rank 1 was killed by signal 9 (Killed)"));
}

TEST(SpawnProcessesTest, ADeadlineKillsAndNamesThoseThatHang) {
  EXPECT_EQ(SpawnProcesses(2, {"hang"}, absl::Milliseconds(500)),
            absl::DeadlineExceededError("ranks 0, 1 have not ended within 500ms"));
}

TEST(RankProcessesTest, OthersLearnWhomTheyLost) {
  const TemporaryDirectory rendezvous = *TemporaryDirectory::Make();
  const auto ranks = StartRanks(4, {"/proc/self/exe", "lose_rank_one"}, rendezvous.path());
  ASSERT_TRUE(ranks.ok()) << ranks.status();
  WaitForAll(**ranks);
  ASSERT_EQ((*ranks)->ended().size(), 4U);
  for (const RankEnd& end : (*ranks)->ended()) {
    EXPECT_EQ(end.status, end.rank == 1 ? 128 + SIGKILL : 0) << Describe(end);
  }
}

TEST(RankProcessesTest, AProgramThatIsNotThereIsNamed) {
  const auto ranks = StartRanks(2, {"/no/program"}, "/tmp");
  EXPECT_TRUE(absl::IsNotFound(ranks.status())) << ranks.status();
  EXPECT_TRUE(Says(ranks.status(), "cannot start rank 0 (/no/program)")) << ranks.status();
}

TEST(RankProcessesTest, WhatARankHasStartedEndsWithIt) {
  const TemporaryDirectory rendezvous = *TemporaryDirectory::Make();
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const FileDescriptor left(ends[0]);
  FileDescriptor held(ends[1]);
  const auto ranks =
      StartRanks(1, {"/bin/sh", "-c", "tail -f /dev/null & exit 0"}, rendezvous.path());
  ASSERT_TRUE(ranks.ok()) << ranks.status();
  held.Close();
  WaitForAll(**ranks);
  char byte = 0;
  EXPECT_EQ(read(left.get(), &byte, 1), 0);  // nobody holds the other end any more
}

}  // namespace

int Main(int argc, char** argv) {
  const auto environment = FindRankEnvironment();
  if (environment.ok() && environment->has_value()) {
    return RunRole(**environment, argc > 1 ? argv[1] : "");
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc, argv); }
