#include "comm/inproc/inproc_world.h"

#include <string>

#include "base/check.h"
#include "base/status_macros.h"
#include "comm/direct_communicator.h"
#include "comm/group.h"

namespace weft {

class InprocBackend final : public Backend {
 public:
  InprocBackend(std::shared_ptr<InprocWorld> world, RankId rank)
      : world_(std::move(world)), rank_(rank) {}

  int rank() const override { return rank_.value; }
  int world_size() const override { return world_->size(); }

  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    const int call = next_call_++;
    WEFT_ASSIGN_OR_RETURN(Group group, MakeGroup(name, ranks, rank_, world_size(), deadline));
    std::shared_ptr<Exchange> exchange = Mailboxes::MakeExchange(world_->Join(call, ranks), group);
    open().Add(exchange);
    return DirectCommunicator::Connect(std::move(group), std::move(exchange));
  }

  void Abort(const absl::Status& cause) override { open().Abort(cause); }

 private:
  OpenExchanges& open() { return world_->open_[static_cast<size_t>(rank_.value)]; }

  const std::shared_ptr<InprocWorld> world_;
  const RankId rank_;
  int next_call_ = 0;
};

std::shared_ptr<InprocWorld> InprocWorld::Make(int world_size) {
  return std::shared_ptr<InprocWorld>(new InprocWorld(world_size));
}

InprocWorld::InprocWorld(int world_size) : open_(static_cast<size_t>(world_size)) {
  WEFT_CHECK(world_size >= 1, "a world has at least one rank");
}

std::unique_ptr<Backend> InprocWorld::MakeBackend(RankId rank) {
  WEFT_CHECK(rank.value >= 0 && rank.value < size(), "a rank of this world");
  return std::make_unique<InprocBackend>(shared_from_this(), rank);
}

void InprocWorld::Abort(const absl::Status& cause) {
  for (OpenExchanges& open : open_) open.Abort(cause);
}

std::shared_ptr<Mailboxes> InprocWorld::Join(int call, const std::vector<RankId>& ranks) {
  const MeetingKey key(call, ranks);
  absl::MutexLock lock(&mutex_);
  Meeting& meeting = meetings_[key];
  if (meeting.boxes == nullptr) {
    meeting.boxes = std::make_shared<Mailboxes>(static_cast<int>(ranks.size()));
  }
  std::shared_ptr<Mailboxes> boxes = meeting.boxes;
  if (++meeting.joined == static_cast<int>(ranks.size())) meetings_.erase(key);
  return boxes;
}

}  // namespace weft
