#include "tests/runtime/inproc_coordination.h"

#include <algorithm>

namespace weft {

class InprocCoordination::Port final : public Coordination {
 public:
  Port(InprocCoordination& world, int32_t rank) : world_(world), rank_(rank) {}

  absl::Status Propose(const ProposedPlan& plan) override {
    absl::MutexLock lock(&world_.mutex_);
    world_.newest_ = plan;
    world_.visible_from_ = proposal_polls_ + 1;
    return absl::OkStatus();
  }

  std::optional<ProposedPlan> TakeProposal() override {
    absl::MutexLock lock(&world_.mutex_);
    const int64_t poll = proposal_polls_++;
    if (!world_.newest_.has_value() || world_.newest_->epoch <= taken_epoch_ ||
        poll < std::max(world_.visible_from_, held_until_)) {
      return std::nullopt;
    }
    ProposedPlan plan = *world_.newest_;
    taken_epoch_ = plan.epoch;
    if (spoiled_) plan.json.resize(plan.json.size() / 2);
    return plan;
  }

  ControlRequests TakeRequests() override {
    absl::MutexLock lock(&world_.mutex_);
    const int64_t poll = request_polls_++;
    const auto it = world_.requests_.find(poll);
    return rank_ == 0 && it != world_.requests_.end() ? it->second : ControlRequests{};
  }

  void Publish(const JobStatus& status) override {
    if (rank_ != 0) return;
    {
      absl::MutexLock lock(&world_.mutex_);
      world_.statuses_.push_back(status);
    }
    if (world_.on_publish) world_.on_publish(status);
  }

  void PublishPlan(const std::string& plan_json, const std::string& /*explanation*/) override {
    absl::MutexLock lock(&world_.mutex_);
    world_.plans_.push_back(plan_json);
  }

 private:
  friend class InprocCoordination;

  InprocCoordination& world_;
  const int32_t rank_;
  int64_t proposal_polls_ = 0;
  int64_t request_polls_ = 0;
  int64_t taken_epoch_ = 0;
  int64_t held_until_ = 0;
  bool spoiled_ = false;
};

InprocCoordination::InprocCoordination(int32_t world_size) {
  for (int32_t rank = 0; rank < world_size; ++rank) {
    ports_.push_back(std::make_unique<Port>(*this, rank));
  }
}

InprocCoordination::~InprocCoordination() = default;

void InprocCoordination::HoldProposals(int32_t rank, int64_t poll) {
  absl::MutexLock lock(&mutex_);
  ports_[static_cast<size_t>(rank)]->held_until_ = poll;
}

void InprocCoordination::SpoilProposals(int32_t rank) {
  absl::MutexLock lock(&mutex_);
  ports_[static_cast<size_t>(rank)]->spoiled_ = true;
}

void InprocCoordination::RequestAt(int64_t poll, const ControlRequests& requests) {
  absl::MutexLock lock(&mutex_);
  requests_[poll] = requests;
}

Coordination& InprocCoordination::of(int32_t rank) { return *ports_[static_cast<size_t>(rank)]; }

std::vector<JobStatus> InprocCoordination::statuses() const {
  absl::MutexLock lock(&mutex_);
  return statuses_;
}

std::vector<std::string> InprocCoordination::plans() const {
  absl::MutexLock lock(&mutex_);
  return plans_;
}

}  // namespace weft
