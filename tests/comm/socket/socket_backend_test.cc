// What the contract does not ask of a backend: how ranks find each other, and who is refused.

#include "comm/socket/socket_backend.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/temporary_directory.h"
#include "comm/socket/socket_session.h"
#include "comm/socket/wire.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

constexpr absl::Duration kPatient = absl::Seconds(60);
constexpr absl::Duration kHasty = absl::Milliseconds(300);

bool Says(const absl::Status& status, const std::string& words) {
  return absl::StrContains(absl::string_view(status.message().data(), status.message().size()),
                           words);
}

class SocketBackendTest : public testing::Test {
 protected:
  std::unique_ptr<SocketSession> Open(int rank, int world_size) const {
    auto session = SocketSession::Open({rank, world_size, directory_.path()});
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  absl::Status Refused(const std::string& directory) const {
    return SocketSession::Open({0, 2, directory}).status();
  }
  static std::vector<RankId> World(int size) {
    std::vector<RankId> ranks;
    ranks.reserve(static_cast<size_t>(size));
    for (int rank = 0; rank < size; ++rank) ranks.push_back(RankId{rank});
    return ranks;
  }

  // Runs a barrier on a world of two that has met; what each rank got.
  static std::pair<absl::Status, absl::Status> Meet(Session& zero, Session& one) {
    std::pair<absl::Status, absl::Status> ends;
    const auto run = [](Session& session, absl::Status& end) {
      const auto backend = session.MakeBackend();
      auto comm = backend->Connect("world", World(session.world_size()), kPatient);
      end = comm.ok() ? (*comm)->Barrier() : comm.status();
    };
    std::thread other([&] { run(one, ends.second); });
    run(zero, ends.first);
    other.join();
    return ends;
  }

  sockaddr_un AddressOf(const std::string& name) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = absl::StrCat(directory_.path(), "/", name);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }
  // A connection to rank 0 that no rank made.
  FileDescriptor Stranger() const {
    FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM, 0));
    const sockaddr_un address = AddressOf("rank-0.sock");
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  const TemporaryDirectory directory_ = *TemporaryDirectory::Make();
};

template <typename T>
void Say(const FileDescriptor& fd, const T& words) {
  ASSERT_EQ(send(fd.get(), &words, sizeof(words), MSG_NOSIGNAL),
            static_cast<ssize_t>(sizeof(words)));
}

TEST_F(SocketBackendTest, RefusesADirectoryThatIsNotThere) {
  const absl::Status status = Refused(directory_.path() + "/none");
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_TRUE(Says(status, "the rendezvous directory " + directory_.path() + "/none")) << status;
}

TEST_F(SocketBackendTest, RefusesWhatIsNotADirectoryOfThisUserAlone) {
  std::ofstream(directory_.path() + "/file") << "x";
  EXPECT_TRUE(Says(Refused(directory_.path() + "/file"), "/file is not a directory"));
  chmod(directory_.path().c_str(), 0750);
  const absl::Status status = Refused(directory_.path());
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_TRUE(Says(status, "must belong to this user alone")) << status;
}

TEST_F(SocketBackendTest, RefusesANameThatNoSocketCanHave) {
  const std::string deep = directory_.path() + "/" + std::string(100, 'd');
  ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
  const absl::Status status = Refused(deep);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(Says(status, "name is too long")) << status;
}

TEST_F(SocketBackendTest, RefusesARankThatLivesAndTakesThePlaceOfADeadOne) {
  auto first = Open(1, 2);
  const absl::Status second = SocketSession::Open({1, 2, directory_.path()}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_TRUE(Says(second, absl::StrCat("rank 1 runs in ", directory_.path(), " already (process ",
                                        getpid(), ")")))
      << second;
  first.reset();
  Open(1, 2);
}

TEST_F(SocketBackendTest, StaleSocketsAreWaitedOutAndReplaced) {
  const FileDescriptor dead(socket(AF_UNIX, SOCK_STREAM, 0));
  const sockaddr_un address = AddressOf("rank-0.sock");
  ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  {
    const auto alone = Open(1, 2);
    const absl::Status late = alone->MakeBackend()->Connect("world", World(2), kHasty).status();
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_TRUE(Says(late, "rank 0 has not arrived")) << late;
  }
  const auto one = Open(1, 2);
  absl::Status end;
  std::thread early([&] {
    const auto backend = one->MakeBackend();
    end = backend->Connect("world", World(2), kPatient).status();
  });
  const auto zero = Open(0, 2);
  const auto backend = zero->MakeBackend();
  const auto comm = backend->Connect("world", World(2), kPatient);
  early.join();
  EXPECT_TRUE(comm.ok()) << comm.status();
  EXPECT_TRUE(end.ok()) << end;
}

TEST_F(SocketBackendTest, WhoHasNotComeIsNamed) {
  const auto session = Open(1, 4);
  const auto backend = session->MakeBackend();
  const absl::Status status = backend->Connect("world", World(4), kHasty).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(Says(status, "group \"world\": ranks 0, 2, 3 have not arrived within 300ms"))
      << status;
}

TEST_F(SocketBackendTest, AbortEndsTheWaitForOthers) {
  const auto session = Open(0, 2);
  const auto backend = session->MakeBackend();
  absl::Status end;
  std::thread waiter(
      [&] { end = backend->Connect("world", World(2), absl::InfiniteDuration()).status(); });
  backend->Abort(absl::DataLossError("a torn file"));
  waiter.join();
  EXPECT_TRUE(absl::IsAborted(end)) << end;
  EXPECT_TRUE(Says(end, "a torn file")) << end;
}

TEST_F(SocketBackendTest, WorldsOfDifferentSizesAreNotOne) {
  const auto zero = Open(0, 2);
  const auto one = Open(1, 3);
  absl::Status other;
  std::thread thread([&] {
    const auto backend = one->MakeBackend();
    other = backend->Connect("world", {RankId{0}, RankId{1}}, kPatient).status();
  });
  const auto backend = zero->MakeBackend();
  const absl::Status own = backend->Connect("world", World(2), kPatient).status();
  thread.join();
  EXPECT_TRUE(absl::IsFailedPrecondition(own)) << own;
  EXPECT_TRUE(Says(own, "belongs to a world of 3 ranks, rank 0 to one of 2")) << own;
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_TRUE(Says(other, "belongs to a world of 2 ranks, rank 1 to one of 3")) << other;
}

TEST_F(SocketBackendTest, StrangersAtTheDoorStopNobody) {
  const auto zero = Open(0, 2);
  const auto one = Open(1, 2);
  const FileDescriptor silent = Stranger();
  const FileDescriptor loud = Stranger();
  const std::array<char, 64> noise{'G', 'E', 'T', ' ', '/'};
  Say(loud, noise);
  Stranger();  // and gone
  const FileDescriptor false_name = Stranger();
  Say(false_name, Greeting{.world_size = 2, .from = 7, .to = 1});
  const auto [first, second] = Meet(*zero, *one);
  EXPECT_TRUE(first.ok()) << first;
  EXPECT_TRUE(second.ok()) << second;
  char closed = 0;
  EXPECT_EQ(recv(false_name.get(), &closed, 1, 0), 0);
}

TEST_F(SocketBackendTest, BytesThatAreNoMessageAreAnErrorThatNamesTheRank) {
  const auto zero = Open(0, 2);
  const FileDescriptor false_one = Stranger();
  Say(false_one, Greeting{.world_size = 2, .from = 1, .to = 0});
  Say(false_one, std::array<char, 64>{'w', 'h', 'o', '?'});
  const auto backend = zero->MakeBackend();
  const absl::Status status = backend->Connect("world", World(2), kPatient).status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_TRUE(Says(status, "rank 1 sends bytes that are not the next message")) << status;
}

TEST_F(SocketBackendTest, AMessageOfTheWrongTurnIsNotTaken) {
  const auto zero = Open(0, 2);
  const FileDescriptor false_one = Stranger();
  Say(false_one, Greeting{.world_size = 2, .from = 1, .to = 0});
  Say(false_one, MessageHeader{.communicator = 0, .sequence = 1, .bytes = 8});
  const auto backend = zero->MakeBackend();
  const absl::Status status = backend->Connect("world", World(2), kPatient).status();
  EXPECT_TRUE(Says(status, "rank 1 sends bytes that are not the next message")) << status;
}

TEST_F(SocketBackendTest, ARankThatLeavesIsNamed) {
  const auto zero = Open(0, 2);
  const auto one = Open(1, 2);
  absl::Status end;
  std::thread other([&] {
    const auto backend = one->MakeBackend();
    end = backend->Connect("world", World(2), kPatient).status();  // and destroys it
  });
  const auto backend = zero->MakeBackend();
  const auto comm = backend->Connect("world", World(2), kPatient);
  ASSERT_TRUE(comm.ok()) << comm.status();
  const absl::Status status = (*comm)->Barrier();
  other.join();
  EXPECT_TRUE(end.ok()) << end;
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Says(status, "group \"world\", Barrier: rank 1 has closed its connection")) << status;
  EXPECT_TRUE(absl::IsUnavailable((*comm)->Health()));
}

// More than all socket buffers hold, from everybody to everybody.
TEST_F(SocketBackendTest, EverybodyMaySendMegabytesAtOnce) {
  constexpr int kRanks = 4;
  constexpr int64_t kElements = int64_t{4} << 20;
  std::vector<std::thread> threads;
  threads.reserve(kRanks);
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      const auto session = Open(rank, kRanks);
      const auto backend = session->MakeBackend();
      auto comm = backend->Connect("world", World(kRanks), kPatient);
      ASSERT_TRUE(comm.ok()) << comm.status();
      std::vector<int32_t> mine(static_cast<size_t>(kElements), rank);
      std::vector<int32_t> all(static_cast<size_t>(kElements * kRanks));
      const absl::Status status = (*comm)->AllGather(View(mine.data(), {kElements}),
                                                     View(all.data(), {kElements * kRanks}));
      ASSERT_TRUE(status.ok()) << status;
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(all[i], static_cast<int32_t>(i / static_cast<size_t>(kElements)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weft
