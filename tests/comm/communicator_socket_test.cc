#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/temporary_directory.h"
#include "comm/socket/socket_session.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/quick_links.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// Ranks as threads, each with a session of its own: sockets do not care. A rank that leaves early
// closes its connections, so that nobody waits for it.
absl::Status SpawnSocketRanks(int world_size, const RankFn& fn, const DecorateBackend& decorate) {
  const TemporaryDirectory rendezvous = *TemporaryDirectory::Make();
  std::vector<absl::Status> ends(static_cast<size_t>(world_size));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(world_size));
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      const auto run = [&]() -> absl::Status {
        WEFT_ASSIGN_OR_RETURN(const auto session,
                              SocketSession::Open({rank, world_size, rendezvous.path()}));
        std::unique_ptr<Backend> backend = session->MakeBackend();
        if (decorate) backend = decorate(std::move(backend));
        WEFT_RETURN_IF_ERROR(fn(*backend));
        return session->Finalize();
      };
      ends[static_cast<size_t>(rank)] = WithContext(run(), absl::StrCat("rank ", rank));
    });
  }
  for (std::thread& thread : threads) thread.join();
  absl::Status first;
  for (const absl::Status& end : ends) {
    // Who only saw another leave is not the cause.
    if (first.ok() || absl::IsUnavailable(first)) first = end.ok() ? first : end;
  }
  return first;
}

ContractWorld SocketOf(int world_size, const std::string& name,
                       const DecorateBackend& decorate = nullptr) {
  return {absl::StrCat(name, "_", world_size), [world_size, decorate](const RankFn& fn) {
            return SpawnSocketRanks(world_size, fn, decorate);
          }};
}

INSTANTIATE_TEST_SUITE_P(Socket, CommunicatorContract,
                         testing::Values(SocketOf(1, "socket"), SocketOf(2, "socket"),
                                         SocketOf(3, "socket"), SocketOf(4, "socket"),
                                         SocketOf(3, "sim_over_socket", BehindQuickLinks)),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weft
