#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "tests/comm/communicator_contract.h"

// The part of the contract that speaks of what goes wrong.

namespace weft {
namespace {

// Long enough for all to connect on a busy machine, short enough to wait for.
constexpr absl::Duration kHasty = absl::Milliseconds(500);

bool Says(const absl::Status& status, const std::string& words) {
  return absl::StrContains(absl::string_view(status.message().data(), status.message().size()),
                           words);
}

TEST_P(CommunicatorContract, AbortUnblocksAWaiterAndCarriesTheCause) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(backend));
    WEFT_ASSIGN_OR_RETURN(auto doomed, ConnectWorld(backend, "doomed"));
    if (backend.rank() == 0 && backend.world_size() > 1) {
      absl::Status waited;
      std::thread waiter([&] { waited = doomed->Barrier(); });  // nobody else comes
      doomed->Abort(absl::UnavailableError("node b is gone"));
      doomed->Abort(absl::InternalError("a later cause"));
      waiter.join();
      EXPECT_TRUE(absl::IsAborted(waited)) << waited;
      EXPECT_TRUE(Says(waited, "node b is gone")) << waited;
      EXPECT_TRUE(Says(waited, "doomed")) << waited;
      EXPECT_FALSE(Says(waited, "a later cause")) << waited;
      EXPECT_TRUE(absl::IsAborted(doomed->Health())) << doomed->Health();
      float value = 1.0F;
      EXPECT_TRUE(absl::IsAborted(doomed->AllReduce(View(&value, {1}), ReduceOp::kSum)));
    }
    EXPECT_TRUE(world->Health().ok());  // the abort was of one communicator
    return world->Barrier();
  });
}

TEST_P(CommunicatorContract, BackendAbortReachesAllItsCommunicators) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto first, ConnectWorld(backend, "first"));
    WEFT_ASSIGN_OR_RETURN(auto second, ConnectWorld(backend, "second"));
    backend.Abort(absl::DataLossError("a checkpoint is broken"));
    for (Communicator* comm : {first.get(), second.get()}) {
      EXPECT_TRUE(absl::IsAborted(comm->Health())) << comm->Health();
      const absl::Status status = comm->Barrier();
      EXPECT_TRUE(absl::IsAborted(status)) << status;
      EXPECT_TRUE(Says(status, "a checkpoint is broken")) << status;
    }
    const auto late = ConnectWorld(backend, "late");
    EXPECT_TRUE(absl::IsAborted(late.status())) << late.status();
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, DeadlineNamesTheGroupAndWhoIsMissing) {
  RunRanks([](Backend& backend) -> absl::Status {
    const int missing = backend.world_size() - 1;
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(backend));
    WEFT_ASSIGN_OR_RETURN(auto hasty, backend.Connect("hasty", AllRanks(backend), kHasty));
    if (backend.rank() != missing) {
      std::vector<int64_t> ranks(static_cast<size_t>(backend.world_size()));
      int64_t mine = backend.rank();
      const absl::Status status =
          hasty->AllGather(View(&mine, {1}), View(ranks.data(), {backend.world_size()}));
      EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
      EXPECT_TRUE(Says(status, absl::StrCat("rank ", missing, " has not arrived"))) << status;
      EXPECT_TRUE(Says(status, "group \"hasty\", AllGather")) << status;
      EXPECT_TRUE(absl::IsDeadlineExceeded(hasty->Health())) << hasty->Health();
      EXPECT_TRUE(absl::IsDeadlineExceeded(hasty->Barrier()));
    }
    EXPECT_TRUE(world->Health().ok());
    return world->Barrier();
  });
}

// Members are named by their global ranks, not by their place in the group.
TEST_P(CommunicatorContract, DeadlineSpeaksOfGlobalRanks) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(backend));
    std::vector<RankId> group = AllRanks(backend);
    group.erase(group.begin());
    if (backend.rank() == 0) group = {RankId{0}};
    WEFT_ASSIGN_OR_RETURN(auto hasty, backend.Connect("tail", group, kHasty));
    if (backend.rank() == 1 && hasty->size() > 1) {
      const absl::Status status = hasty->Barrier();
      EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
      std::vector<int> absent;
      for (int rank = 2; rank < backend.world_size(); ++rank) absent.push_back(rank);
      const std::string who = absent.size() == 1
                                  ? "rank 2 has"
                                  : absl::StrCat("ranks ", absl::StrJoin(absent, ", "), " have");
      EXPECT_TRUE(Says(status, absl::StrCat(who, " not arrived within 500ms"))) << status;
    }
    return world->Barrier();
  });
}

TEST_P(CommunicatorContract, SizesThatDisagreeAreAnErrorThatNamesThem) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(backend));
    if (backend.world_size() == 1 || !world->traits().checks_sizes) return absl::OkStatus();
    for (int64_t sent : {3, 5}) {
      WEFT_ASSIGN_OR_RETURN(auto uneven, backend.Connect("uneven", AllRanks(backend), kHasty));
      std::vector<int32_t> data(8);
      const int64_t elements = backend.rank() == 0 ? sent : 4;
      const absl::Status status = uneven->Broadcast(View(data.data(), {elements}), 0);
      if (backend.rank() != 0) {
        EXPECT_TRUE(absl::IsInternal(status)) << status;
        EXPECT_TRUE(Says(status, absl::StrCat("rank 0 sends ", 4 * sent, " bytes"))) << status;
        EXPECT_TRUE(Says(status, absl::StrCat("rank ", backend.rank(), " waits for 16"))) << status;
      }
      WEFT_RETURN_IF_ERROR(world->Barrier());
    }
    return world->Barrier();
  });
}

TEST_P(CommunicatorContract, ConnectRefusesWhatIsNotAGroup) {
  RunRanks([](Backend& backend) -> absl::Status {
    const int world = backend.world_size();
    const RankId me{backend.rank()};
    const std::vector<std::vector<RankId>> bad = {{},
                                                  {me, me},
                                                  {me, RankId{world}},
                                                  {RankId{-1}, me},
                                                  {RankId{world - 1 - me.value}, me, me}};
    for (const std::vector<RankId>& ranks : bad) {
      const auto comm = backend.Connect("bad", ranks, absl::Seconds(60));
      EXPECT_TRUE(absl::IsInvalidArgument(comm.status())) << comm.status();
    }
    if (world > 1) {
      const auto comm = backend.Connect("bad", {RankId{(me.value + 1) % world}}, absl::Seconds(60));
      EXPECT_TRUE(absl::IsInvalidArgument(comm.status())) << comm.status();
      EXPECT_TRUE(Says(comm.status(), "without being one of them")) << comm.status();
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, ConnectFindsOutThatMembersDisagree) {
  RunRanks([](Backend& backend) -> absl::Status {
    const auto comm = ConnectWorld(backend, backend.rank() == 0 ? "ep" : "esp");
    if (backend.world_size() == 1) {
      EXPECT_TRUE(comm.ok());
    } else {
      EXPECT_TRUE(absl::IsInvalidArgument(comm.status())) << comm.status();
      EXPECT_TRUE(Says(comm.status(), "another name")) << comm.status();
    }
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace weft
