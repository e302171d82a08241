// The suite of all backends on a device's memory: tensors of its tests are copied there and back.

#include "absl/strings/str_cat.h"
#include "comm/staged/staged_backend.h"
#include "tensor/kernels/compute_device.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/on_device_backend.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

const absl::StatusOr<std::unique_ptr<ComputeDevice>>& Device() {
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0));
  return *device;
}

class StagedOnDevice final : public Backend {
 public:
  explicit StagedOnDevice(std::unique_ptr<Backend> inner)
      : inner_(std::move(inner)),
        kernels_((**Device()).MakeKernels()),
        staged_(*inner_, kernels_->memory(), (**Device()).staging_memory()),
        on_device_(staged_, kernels_->memory()) {}

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    return on_device_.Connect(name, ranks, deadline);
  }
  void Abort(const absl::Status& cause) override { on_device_.Abort(cause); }

 private:
  const std::unique_ptr<Backend> inner_;
  const std::unique_ptr<Kernels> kernels_;
  StagedBackend staged_;
  OnDeviceBackend on_device_;
};

ContractWorld OnDeviceOf(int world_size) {
  return {absl::StrCat("staged_", world_size), [world_size](const RankFn& fn) {
            return SpawnRanks(world_size, fn, [](std::unique_ptr<Backend> inner) {
              return std::unique_ptr<Backend>(std::make_unique<StagedOnDevice>(std::move(inner)));
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
