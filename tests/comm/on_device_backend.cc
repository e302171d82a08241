#include "tests/comm/on_device_backend.h"

#include <utility>

#include "base/status_macros.h"
#include "tests/support/device_call.h"

namespace weft {
namespace {

class OnDevice final : public Communicator {
 public:
  OnDevice(std::unique_ptr<Communicator> inner, Memory& memory)
      : inner_(std::move(inner)), memory_(memory) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  CommunicatorTraits traits() const override { return inner_->traits(); }
  absl::Status AllReduce(TensorView data, ReduceOp op) override {
    DeviceCall call(memory_);
    return inner_->AllReduce(call.Out(data), op);
  }
  absl::Status AllGather(ConstTensorView send, TensorView recv) override {
    DeviceCall call(memory_);
    return inner_->AllGather(call.In(send), call.Out(recv));
  }
  absl::Status AllGatherV(const AllGatherVArgs& args) override {
    DeviceCall call(memory_);
    return inner_->AllGatherV({call.In(args.send), call.Out(args.recv), args.rows});
  }
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override {
    DeviceCall call(memory_);
    return inner_->ReduceScatterV({call.In(args.send), call.Out(args.recv), args.rows});
  }
  absl::Status AllToAllV(const AllToAllVArgs& args) override {
    DeviceCall call(memory_);
    AllToAllVArgs own = args;
    own.send = call.In(args.send);
    own.recv = call.Out(args.recv);
    return inner_->AllToAllV(own);
  }
  absl::Status Broadcast(TensorView data, int root) override {
    DeviceCall call(memory_);
    return inner_->Broadcast(call.Out(data), root);
  }
  absl::Status Barrier() override { return inner_->Barrier(); }
  absl::Status Health() const override { return inner_->Health(); }
  void Abort(const absl::Status& cause) override { inner_->Abort(cause); }

 private:
  const std::unique_ptr<Communicator> inner_;
  Memory& memory_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> OnDeviceBackend::Connect(
    const std::string& name, const std::vector<RankId>& ranks, absl::Duration deadline) {
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> comm, inner_.Connect(name, ranks, deadline));
  return std::unique_ptr<Communicator>(std::make_unique<OnDevice>(std::move(comm), memory_));
}

}  // namespace weft
