// The suite of all backends on a device's memory: tensors of its tests are copied there and back.

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/staged/staged_backend.h"
#include "tensor/kernels/compute_device.h"
#include "tests/comm/communicator_contract.h"
#include "tests/support/device_call.h"
#include "tests/support/spawn_ranks.h"

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

const absl::StatusOr<std::unique_ptr<ComputeDevice>>& Device() {
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0));
  return *device;
}

class OnDeviceBackend final : public Backend {
 public:
  explicit OnDeviceBackend(std::unique_ptr<Backend> inner)
      : inner_(std::move(inner)),
        kernels_((**Device()).MakeKernels()),
        staged_(*inner_, kernels_->memory(), (**Device()).staging_memory()) {}

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> comm,
                          staged_.Connect(name, ranks, deadline));
    return std::unique_ptr<Communicator>(
        std::make_unique<OnDevice>(std::move(comm), kernels_->memory()));
  }
  void Abort(const absl::Status& cause) override { staged_.Abort(cause); }

 private:
  const std::unique_ptr<Backend> inner_;
  const std::unique_ptr<Kernels> kernels_;
  StagedBackend staged_;
};

ContractWorld OnDeviceOf(int world_size) {
  return {absl::StrCat("staged_", world_size), [world_size](const RankFn& fn) {
            return SpawnRanks(world_size, fn, [](std::unique_ptr<Backend> inner) {
              return std::unique_ptr<Backend>(std::make_unique<OnDeviceBackend>(std::move(inner)));
            });
          }};
}

std::string NameOf(const testing::TestParamInfo<ContractWorld>& world) { return world.param.name; }

std::vector<ContractWorld> Worlds() {
  if (!Device().ok()) return {};
  return {OnDeviceOf(2), OnDeviceOf(4), OnDeviceOf(8)};
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CommunicatorContract);
INSTANTIATE_TEST_SUITE_P(OnDevice, CommunicatorContract, testing::ValuesIn(Worlds()), NameOf);

TEST(CommOnDeviceTest, ThereIsADevice) {
  if (!Device().ok()) GTEST_SKIP() << Device().status().message();
}

}  // namespace
}  // namespace weft
