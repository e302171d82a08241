#include "models/moe/expert_shard.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/kernels/decorated_kernels.h"
#include "tests/models/one_rank.h"
#include "tests/runtime/tiny_job.h"

namespace weft {
namespace {

// Counts calls by their names.
class CallCounter final : public DecoratedKernels {
 public:
  CallCounter(std::unique_ptr<Kernels> inner, std::map<std::string, int64_t>& calls)
      : DecoratedKernels(*inner), inner_(std::move(inner)), calls_(calls) {}

 private:
  void Around(std::string_view name, absl::FunctionRef<void()> call) override {
    ++calls_[std::string(name)];
    call();
  }
  std::unique_ptr<Kernels> inner_;
  std::map<std::string, int64_t>& calls_;
};

// Where one rank has all experts, the router puts rows where the experts keep them, in both
// directions, and an uncut layer saves them in the order in which it reads them.
TEST(ExpertShardTest, CopiesNoRowsThatStandInOrder) {
  WorkerOptions options;
  options.model = TinyModel(Backbone::kMixtral);
  options.topology = {1, 1};
  options.layout = {1, 1, 1};
  options.batch = {2, options.model.max_sequence_length, 1, 2};
  std::map<std::string, int64_t> calls;
  OneRank rank(std::make_unique<CallCounter>(MakeCpuKernels(), calls), options);
  const std::vector<int32_t> tokens(static_cast<size_t>(options.batch.tokens()), 7);
  Worker::StepArgs args;
  args.tokens = tokens;
  args.labels = tokens;
  args.update = 1;
  args.learning_rate = 1e-3;
  rank.Run(StepKind::kTraining, args);
  int64_t layers = 0;
  for (int32_t layer = 0; layer < options.model.num_layers; ++layer)
    layers += options.model.is_moe_layer(layer) ? 1 : 0;
  // Forward: norm's outputs; backward: weights and, scaled, gradients.
  EXPECT_EQ(calls["GatherRows"], 2 * layers);
  EXPECT_EQ(calls["GatherScaledRows"], layers);
  EXPECT_EQ(calls["CopyRows"], 0);
}

}  // namespace
}  // namespace weft
