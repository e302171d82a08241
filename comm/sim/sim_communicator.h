#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/sim/alarm.h"
#include "comm/sim/link_clock.h"
#include "comm/sim/traffic.h"

namespace weft {

struct EmulatedLinkModel {
  double bytes_per_second = 0;  // > 0; of one rank, each direction
  double latency_seconds = 0;   // >= 0; of one exchange
  double message_seconds = 0;   // >= 0; of a rank's handling of one message

  int64_t Nanos(const Traffic& traffic) const;
};

// A communicator behind a slower link than the inner one has. All ranks share one monotonic clock:
// they run on one host. The members exchange the moment their link is free to begin and what they
// have to move, then run the inner operation, then wait until
//   max over members of start + steps * latency
//     + max over members of (bytes / bandwidth + messages * message cost)
// so that all leave together. That wait is the link. Results, bits and errors are the inner
// communicator's; where the inner operation takes longer than the emulated one, its time stands.
class SimCommunicator final : public Communicator {
 public:
  // `link`: this rank's share of the link. `alarm` ends the emulated waits; Abort rings it.
  SimCommunicator(std::unique_ptr<Communicator> inner, const EmulatedLinkModel& model,
                  std::shared_ptr<LinkClock> link, std::shared_ptr<Alarm> alarm);

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  CommunicatorTraits traits() const override { return inner_->traits(); }

  absl::Status AllReduce(TensorView data, ReduceOp op) override;
  absl::Status AllGather(ConstTensorView send, TensorView recv) override;
  absl::Status AllGatherV(const AllGatherVArgs& args) override;
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override;
  absl::Status AllToAllV(const AllToAllVArgs& args) override;
  absl::Status Broadcast(TensorView data, int root) override;
  absl::Status Barrier() override;

  absl::Status Health() const override { return inner_->Health(); }
  void Abort(const absl::Status& cause) override;

 private:
  // Runs `inner` (a call that returns a Status) over the emulated link.
  template <typename Inner>
  absl::Status Emulate(std::string_view operation, const Traffic& traffic, const Inner& inner);
  // When all members have moved everything. COLLECTIVE.
  absl::StatusOr<int64_t> AgreeOnEnd(const Traffic& traffic);

  const std::unique_ptr<Communicator> inner_;
  const EmulatedLinkModel model_;
  const std::shared_ptr<LinkClock> link_;
  const std::shared_ptr<Alarm> alarm_;
  std::vector<int64_t> stamps_;  // [size, 2]: start, duration
};

}  // namespace weft
