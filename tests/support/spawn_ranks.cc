#include "tests/support/spawn_ranks.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "comm/inproc/inproc_world.h"

namespace weft {
namespace {

class FirstError {
 public:
  // True for the first one.
  bool Offer(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!status_.ok()) return false;
    status_ = status;
    return true;
  }
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status SpawnRanks(int world_size, const std::function<absl::Status(Backend& backend)>& fn,
                        const DecorateBackend& decorate) {
  const std::shared_ptr<InprocWorld> world = InprocWorld::Make(world_size);
  FirstError first;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&world, &first, &fn, &decorate, rank] {
      std::unique_ptr<Backend> backend = world->MakeBackend(RankId{rank});
      if (decorate) backend = decorate(std::move(backend));
      const absl::Status status = WithContext(fn(*backend), absl::StrCat("rank ", rank));
      if (!status.ok() && first.Offer(status)) world->Abort(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first.status();
}

}  // namespace weft
