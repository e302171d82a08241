#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/status/statusor.h"
#include "runtime/replanner.h"

namespace weft {

// One planning at a time on a thread beside the training steps. Begin starts the thread, which
// steps back behind all others of the rank; Take asks for its outcome between steps, without
// waiting and without a lock, and drops it when another plan has been installed meanwhile. Nothing
// is shared with the thread but the outcome, which changes hands once. Used from one thread.
class BackgroundPlanner {
 public:
  using Planning = std::function<absl::StatusOr<ReplanOutcome>()>;

  BackgroundPlanner() = default;
  BackgroundPlanner(const BackgroundPlanner&) = delete;
  BackgroundPlanner& operator=(const BackgroundPlanner&) = delete;
  // Waits for the planning under way, and so at most as long as one planning takes.
  ~BackgroundPlanner();

  // Whether a planning was begun whose outcome was not yet taken.
  bool busy() const { return thread_.joinable(); }

  // `planning` compares with the plan of `epoch` and touches nothing that anybody else changes.
  // REQUIRES: !busy().
  void Begin(int64_t epoch, Planning planning);

  // The outcome when it has arrived and the plan it was compared with still runs; nothing
  // otherwise. An error of the planning, whatever runs, says beside which plan it was.
  absl::StatusOr<std::optional<ReplanOutcome>> Take(int64_t running_epoch);

  // Blocks until the planning under way, if any, has its outcome.
  void Wait() const;

 private:
  int64_t epoch_ = 0;
  std::thread thread_;
  std::atomic<bool> done_ = false;
  absl::StatusOr<ReplanOutcome> outcome_;  // the thread's until done_
};

}  // namespace weft
