#include "models/memory_estimate.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "graph/fixed_plan.h"
#include "runtime/worker.h"
#include "tensor/kernels/decorated_kernels.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// Host memory that knows how much of it is in use.
class CountedMemory final : public Memory {
 public:
  void* Allocate(int64_t bytes) override {
    void* const data = HostMemory().Allocate(bytes);
    const std::lock_guard<std::mutex> lock(mutex_);
    sizes_[data] = bytes;
    in_use_ += bytes;
    return data;
  }
  void Free(void* data) override {
    if (data == nullptr) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      in_use_ -= sizes_.at(data);
      sizes_.erase(data);
    }
    HostMemory().Free(data);
  }
  bool Holds(const void* data) const override { return HostMemory().Holds(data); }
  int64_t in_use() const { return in_use_; }

 private:
  static TensorView Bytes(const void* data, int64_t bytes) {
    return {const_cast<void*>(data), DType::kU8, {bytes}};
  }
  void CopyBytes(const void* from, void* to, int64_t bytes) override {
    HostMemory().Copy(Bytes(from, bytes), Bytes(to, bytes));
  }
  void ZeroBytes(void* to, int64_t bytes) override { HostMemory().Zero(Bytes(to, bytes)); }
  void BytesFromHost(const void* host, void* to, int64_t bytes) override {
    CopyBytes(host, to, bytes);
  }
  void BytesToHost(const void* from, void* host, int64_t bytes) override {
    CopyBytes(from, host, bytes);
  }

  std::mutex mutex_;
  std::map<void*, int64_t> sizes_;
  int64_t in_use_ = 0;
};

class CountedKernels final : public DecoratedKernels {
 public:
  CountedKernels(Kernels& inner, Memory& memory) : DecoratedKernels(inner), memory_(memory) {}
  Memory& memory() override { return memory_; }

 private:
  void Around(std::string_view /*name*/, absl::FunctionRef<void()> call) override { call(); }
  Memory& memory_;
};

struct EstimateCase {
  const char* name;
  Topology topology;
  Layout layout;
  Backbone backbone = Backbone::kMixtral;
  Precision precision = Precision::kFp32;
  int32_t shared_experts = 0;
};

class MemoryEstimateTest : public testing::TestWithParam<EstimateCase> {};

// Training steps with an even load, in a memory that counts.
TEST_P(MemoryEstimateTest, IsWhatTrainingTakes) {
  const EstimateCase& c = GetParam();
  WorkerOptions options;
  options.model = TinyModel(c.backbone);
  options.model.precision = c.precision;
  options.model.hidden_size = 64;
  options.model.ffn_hidden_size = 96;
  options.model.moe.num_experts = 8;
  options.model.moe.shared_experts = c.shared_experts;
  options.model.moe.routing = Routing::kForced;
  options.model.moe.workload = Workload::kBalanced;
  options.model.max_sequence_length = 64;
  options.topology = c.topology;
  options.layout = c.layout;
  options.batch = {2, 64, 1, int64_t{2} * c.topology.world_size};
  const absl::Status status =
      SpawnRanks(c.topology.world_size, [&](Backend& backend) -> absl::Status {
        const std::unique_ptr<Kernels> cpu = MakeCpuKernels();
        CountedMemory memory;
        CountedKernels kernels(*cpu, memory);
        auto worker = Worker::Connect(backend, kernels, options);
        if (!worker.ok()) return worker.status();
        // Cut in two ways, so that all of the experts' scratch is needed; not by a rank alone.
        const bool alone = c.topology.world_size == 1;
        const auto plan = std::make_shared<const Plan>(
            MakeFixedPlan(*(*worker)->graph(StepKind::kTraining),
                          {.forward = alone ? 1 : 2, .backward = alone ? 1 : 3}));
        absl::Status installed = (*worker)->Install(StepKind::kTraining, plan);
        if (!installed.ok()) return installed;
        const std::vector<int32_t> tokens(static_cast<size_t>(options.batch.tokens()), 7);
        for (int64_t step = 0; step < 2; ++step) {
          Worker::StepArgs args;
          args.step = step;
          args.tokens = tokens;
          args.labels = tokens;
          args.update = step + 1;
          args.learning_rate = 1e-3;
          absl::Status ran = (*worker)->RunStep(StepKind::kTraining, args).status();
          if (!ran.ok()) return ran;
        }
        const MemoryEstimate estimate = EstimateMemory(
            options.model, options.topology, options.layout, options.batch, RankId{backend.rank()});
        EXPECT_NEAR(static_cast<double>(memory.in_use()), static_cast<double>(estimate.total()),
                    0.05 * static_cast<double>(estimate.total()))
            << "rank " << backend.rank() << ": " << ToString(estimate);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, MemoryEstimateTest,
    testing::Values(
        EstimateCase{"OneRank", {1, 1}, {1, 1, 1}},
        EstimateCase{"Gpt2", {1, 1}, {1, 1, 1}, Backbone::kGpt2},
        EstimateCase{"Bf16", {1, 1}, {1, 1, 1}, Backbone::kMixtral, Precision::kBf16},
        EstimateCase{"Ep2", {2, 1}, {1, 2, 1}},
        EstimateCase{"Esp2", {2, 2}, {1, 1, 2}, Backbone::kGpt2, Precision::kBf16},
        EstimateCase{"Ep2Esp2", {4, 2}, {1, 2, 2}},
        EstimateCase{"Mp2", {2, 2}, {1, 2, 1, 2}, Backbone::kMixtral, Precision::kBf16},
        EstimateCase{"Zero", {4, 2}, {2, 2, 1, 1, 1}, Backbone::kMixtral, Precision::kBf16},
        EstimateCase{"SharedExperts", {2, 1}, {1, 2, 1}, Backbone::kMixtral, Precision::kBf16, 2}),
    [](const auto& test) { return test.param.name; });

TEST(MemoryEstimateText, SaysWhatTakesIt) {
  MemoryEstimate estimate;
  estimate.parameters = int64_t{24} << 30;
  estimate.gradients = int64_t{12} << 30;
  estimate.activations = int64_t{5} << 29;
  EXPECT_EQ(ToString(estimate),
            "38.50 GiB (parameters 24.00, gradients 12.00, activations 2.50, exchange 0.00)");
}

}  // namespace
}  // namespace weft
