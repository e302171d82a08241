// A device's profiler sees the tasks of the plan by the names that traces have.

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/runtime/run_ranks.h"
#include "tests/support/cuda_emulator/emulated_device.h"

namespace weft {
namespace {

TEST(DeviceRangesTest, EveryKernelOfAStepIsLaunchedInTheRangeOfItsTask) {
  const auto device = MakeCudaDevice(0);
  ASSERT_TRUE(device.ok()) << device.status();
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.topology = {2, 2};
  job.layout = {1, 2, 1};
  job.steps = 1;
  job.forward_degree = 2;
  job.slices = 2;
  job.device = device->get();
  RunRanks(job);
  const std::set<std::string> ranges = cuda_emulator::RangesOfLaunches();
  for (const char* task :
       {"embedding.fwd", "attention.fwd.l0", "router.fwd.l1", "expert.fwd.l0[1/2]",
        "expert_wgrad.bwd.l1", "head.bwd", "grad_norm.bwd", "optimizer.bwd"})
    EXPECT_TRUE(ranges.contains(task)) << task;
}

}  // namespace
}  // namespace weft
