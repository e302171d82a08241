#include "models/moe/expert_shard.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/kernels/decorated_kernels.h"
#include "tests/models/one_rank.h"
#include "tests/runtime/tiny_job.h"

namespace weft {
namespace {

// Counts copies of rows.
class CopyCounter final : public DecoratedKernels {
 public:
  CopyCounter(std::unique_ptr<Kernels> inner, int64_t& copies)
      : DecoratedKernels(*inner), inner_(std::move(inner)), copies_(copies) {}

 private:
  void Around(std::string_view name, absl::FunctionRef<void()> call) override {
    if (name == "CopyRows") ++copies_;
    call();
  }
  std::unique_ptr<Kernels> inner_;
  int64_t& copies_;
};

// One rank's rows arrive in the order in which they are kept, and an uncut layer saves them in that
// order as well. What is left are the rows that outlast the buffers of an exchange: the experts'
// inputs and the gradients of their outputs.
TEST(ExpertShardTest, CopiesNoRowsThatStandInOrder) {
  WorkerOptions options;
  options.model = TinyModel(Backbone::kMixtral);
  options.topology = {1, 1};
  options.layout = {1, 1, 1};
  options.batch = {2, options.model.max_sequence_length, 1, 2};
  int64_t copies = 0;
  OneRank rank(std::make_unique<CopyCounter>(MakeCpuKernels(), copies), options);
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
  EXPECT_EQ(copies, 2 * layers);
}

}  // namespace
}  // namespace weft
