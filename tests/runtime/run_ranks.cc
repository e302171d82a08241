#include "tests/runtime/run_ranks.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/support/spawn_ranks.h"

namespace weft {

std::vector<TinyResult> RunRanks(const TinyJob& job) {
  std::vector<TinyResult> results(static_cast<size_t>(job.topology.world_size));
  const absl::Status status =
      SpawnRanks(job.topology.world_size, [&](Backend& backend) -> absl::Status {
        auto result = RunTinyJob(backend, job);
        if (!result.ok()) return result.status();
        results[static_cast<size_t>(backend.rank())] = *std::move(result);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

}  // namespace weft
