#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/ids.h"
#include "comm/backend.h"
#include "runtime/checkpoint/checkpoint_store.h"

namespace weft {

// One rank's tensors in a test, all derived from (rank, value), so that what was loaded says who
// saved it and when.
struct SavedJob {
  explicit SavedJob(int rank) : rank_(rank), weights(12), moments(5) {}

  void Set(int64_t value) {
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(value) + 0.001f * static_cast<float>(i) +
                   100.0f * static_cast<float>(rank_);
    }
    for (size_t i = 0; i < moments.size(); ++i) {
      moments[i] = 1000 * value + 10 * rank_ + static_cast<int64_t>(i);
    }
  }
  bool Holds(int64_t value) const {
    SavedJob other(rank_);
    other.Set(value);
    return other.weights == weights && other.moments == moments;
  }

  std::vector<NamedTensor> Tensors() const {
    return {{"expert.w", View(weights.data(), {3, 4})}, {"moments", View(moments.data(), {5})}};
  }
  std::vector<NamedTarget> Targets() {
    return {{"expert.w", View(weights.data(), {3, 4})}, {"moments", View(moments.data(), {5})}};
  }

  // What a load asks for.
  auto Asked() {
    return [this](const auto& /*metadata*/) -> absl::StatusOr<std::vector<NamedTarget>> {
      return Targets();
    };
  }

  int rank_;
  std::vector<float> weights;
  std::vector<int64_t> moments;
};

inline absl::StatusOr<std::unique_ptr<Communicator>> ConnectWorld(Backend& backend) {
  std::vector<RankId> ranks;
  ranks.reserve(static_cast<size_t>(backend.world_size()));
  for (int rank = 0; rank < backend.world_size(); ++rank) ranks.push_back(RankId{rank});
  return backend.Connect("world", ranks, absl::Seconds(60));
}

}  // namespace weft
