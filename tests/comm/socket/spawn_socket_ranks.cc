#include "tests/comm/socket/spawn_socket_ranks.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/temporary_directory.h"
#include "comm/socket/socket_session.h"

namespace weft {

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
    if (first.ok() || absl::IsUnavailable(first)) first = end.ok() ? first : end;
  }
  return first;
}

}  // namespace weft
