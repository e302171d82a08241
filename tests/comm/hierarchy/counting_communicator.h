#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "comm/communicator.h"
#include "comm/hierarchy/exchange_outline.h"
#include "comm/rows.h"

namespace weft {

// Counts what passes through the AllToAllV of a communicator that outlives it.
class CountingCommunicator final : public Communicator {
 public:
  // `here`: whether a member is on this rank's node.
  CountingCommunicator(Communicator& inner, std::function<bool(int member)> here)
      : inner_(inner), here_(std::move(here)) {}

  int calls() const { return calls_; }
  const ExchangeTraffic& traffic() const { return traffic_; }

  absl::Status AllToAllV(const AllToAllVArgs& args) override {
    ++calls_;
    const int64_t row_bytes = RowBytes(args.send);
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank()) continue;
      const auto p = static_cast<size_t>(peer);
      const auto sent = static_cast<double>(args.send_rows[p] * row_bytes);
      traffic_.messages += sent > 0 ? 1 : 0;
      (here_(peer) ? traffic_.intra_bytes : traffic_.inter_bytes) += sent;
      traffic_.received_bytes += static_cast<double>(args.recv_rows[p] * row_bytes);
    }
    return inner_.AllToAllV(args);
  }

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  CommunicatorTraits traits() const override { return inner_.traits(); }
  absl::Status AllReduce(TensorView data, ReduceOp op) override {
    return inner_.AllReduce(data, op);
  }
  absl::Status AllGather(ConstTensorView send, TensorView recv) override {
    return inner_.AllGather(send, recv);
  }
  absl::Status AllGatherV(const AllGatherVArgs& args) override { return inner_.AllGatherV(args); }
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override {
    return inner_.ReduceScatterV(args);
  }
  absl::Status Broadcast(TensorView data, int root) override {
    return inner_.Broadcast(data, root);
  }
  absl::Status Barrier() override { return inner_.Barrier(); }
  absl::Status Health() const override { return inner_.Health(); }
  void Abort(const absl::Status& cause) override { inner_.Abort(cause); }

 private:
  Communicator& inner_;
  const std::function<bool(int)> here_;
  int calls_ = 0;
  ExchangeTraffic traffic_;
};

}  // namespace weft
