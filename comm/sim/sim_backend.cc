#include "comm/sim/sim_backend.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace weft {

SimBackend::SimBackend(std::unique_ptr<Backend> inner, SimLinkRule rule)
    : inner_(std::move(inner)), rule_(std::move(rule)) {}

absl::StatusOr<std::unique_ptr<Communicator>> SimBackend::Connect(const std::string& name,
                                                                  const std::vector<RankId>& ranks,
                                                                  absl::Duration deadline) {
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> inner,
                        inner_->Connect(name, ranks, deadline));
  const SimLink link = rule_(ranks);
  std::shared_ptr<LinkClock>& clock = links_[link.link_class];
  if (clock == nullptr) clock = std::make_shared<LinkClock>();
  auto alarm = std::make_shared<Alarm>();
  {
    absl::MutexLock lock(&mutex_);
    alarms_.erase(std::remove_if(alarms_.begin(), alarms_.end(),
                                 [](const std::weak_ptr<Alarm>& a) { return a.expired(); }),
                  alarms_.end());
    alarms_.push_back(alarm);
  }
  return std::make_unique<SimCommunicator>(std::move(inner), link.model, clock, std::move(alarm));
}

void SimBackend::Abort(const absl::Status& cause) {
  inner_->Abort(cause);
  absl::MutexLock lock(&mutex_);
  for (const std::weak_ptr<Alarm>& weak : alarms_) {
    if (std::shared_ptr<Alarm> alarm = weak.lock()) alarm->Ring();
  }
}

}  // namespace weft
