#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange.h"
#include "comm/group.h"
#include "tensor/device/buffer.h"

// The collectives as direct algorithms over an Exchange: everyone sends to everyone at once. No
// ring and no tree: each reduced element is summed on one rank in ascending group rank, whatever
// the size (docs/collectives.md has the steps and bytes of each operation). inproc and mpi differ
// only in the Exchange below.

namespace weft {

class DirectCommunicator final : public Communicator {
 public:
  // COLLECTIVE over the group. Makes the communicator and checks that all members asked for the
  // same one (kInvalidArgument otherwise). Blocks until all have come or the group's deadline has
  // passed.
  static absl::StatusOr<std::unique_ptr<Communicator>> Connect(Group group,
                                                               std::shared_ptr<Exchange> exchange);

  int rank() const override { return group_.me; }
  int size() const override { return group_.size(); }
  CommunicatorTraits traits() const override { return {}; }

  absl::Status AllReduce(TensorView data, ReduceOp op) override;
  absl::Status AllGather(ConstTensorView send, TensorView recv) override;
  absl::Status AllGatherV(const AllGatherVArgs& args) override;
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override;
  absl::Status AllToAllV(const AllToAllVArgs& args) override;
  absl::Status Broadcast(TensorView data, int root) override;
  absl::Status Barrier() override;

  absl::Status Health() const override;
  void Abort(const absl::Status& cause) override { exchange_->Abort(cause); }

 private:
  DirectCommunicator(Group group, std::shared_ptr<Exchange> exchange);

  void Send(int peer, const void* data, int64_t bytes);
  void Receive(int peer, void* data, int64_t bytes);
  // Runs what Send and Receive have listed and empties the lists.
  absl::Status Run(std::string_view operation);

  absl::Status OneStepAllReduce(TensorView data, ReduceOp op);
  absl::Status TwoStepAllReduce(TensorView data, ReduceOp op);
  // Lists a receive from every peer into scratch_ and points inputs_ at the contributions in rank
  // order.
  void ReceiveContributions(const void* mine, int64_t bytes);

  const Group group_;
  const std::shared_ptr<Exchange> exchange_;
  std::vector<Outgoing> out_;
  std::vector<Incoming> in_;
  std::vector<const void*> inputs_;
  Buffer scratch_;
};

}  // namespace weft
