#include "tensor/kernels/cuda/cublas_lt.h"

#include <atomic>

#include "base/bfloat16.h"
#include "base/check.h"
#include "tests/support/cuda_emulator/emulated_device.h"

// Stands for cuBLASLt on the emulator: plain loops in the stream's order. It is as choosy as the
// library may be, and its algorithms differ in their bits: who takes another one for other row
// counts fails the tests of row invariance.

namespace weft {
namespace {

std::atomic<bool> there = true;
std::atomic<int64_t> products_run = 0;
std::atomic<int64_t> algorithms_chosen = 0;

constexpr unsigned kThreads = 32;

// How an algorithm sums over k, in its first number.
enum Order : uint64_t { kAscending = 1, kDescending = 2 };

float Read(const void* data, DType type, int64_t at) {
  return type == DType::kF32 ? static_cast<const float*>(data)[at]
                             : static_cast<const BFloat16*>(data)[at].ToFloat();
}

void ProductKernel(LtProduct product, uint64_t order, const void* a, const void* b, void* c) {
  const int64_t k = product.transpose_a ? product.a.rows : product.a.columns;
  for (int64_t j = threadIdx.x; j < product.c.columns; j += kThreads) {
    for (int64_t i = 0; i < product.c.rows; ++i) {
      float sum = 0;
      for (int64_t step = 0; step < k; ++step) {
        const int64_t l = order == kAscending ? step : k - 1 - step;
        const int64_t at_a =
            product.transpose_a ? l + i * product.a.stride : i + l * product.a.stride;
        const int64_t at_b =
            product.transpose_b ? j + l * product.b.stride : l + j * product.b.stride;
        sum += Read(a, product.a.type, at_a) * Read(b, product.b.type, at_b);
      }
      const int64_t at = i + j * product.c.stride;
      if (product.accumulate) sum += Read(c, product.c.type, at);
      if (product.c.type == DType::kF32) {
        static_cast<float*>(c)[at] = sum;
      } else {
        static_cast<BFloat16*>(c)[at] = BFloat16::FromFloat(sum);
      }
    }
  }
}

bool Multiple(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }
bool Multiple(const LtMatrix& matrix) { return matrix.stride * SizeOf(matrix.type) % 16 == 0; }

class EmulatedCublasLt final : public CublasLt {
 public:
  std::string description() const override { return "plain loops in the place of cuBLASLt"; }

  int64_t workspace_bytes() const override { return kWorkspaceBytes; }

  // What is best depends on the number of columns, our rows; the best for many is refused for one.
  std::vector<LtAlgorithm> Candidates(const LtProduct& product) override {
    ++algorithms_chosen;
    if (product.c.columns >= 1000) return {{{kRefusedForOne}}, {{kDescending}}, {{kAscending}}};
    return {{{kAscending}}, {{kDescending}}};
  }

  bool Takes(const LtProduct& product, const LtAlgorithm& algorithm) override {
    return algorithm.data[0] != kRefusedForOne || product.c.columns > 1;
  }

  absl::Status Run(const LtProduct& product, const LtAlgorithm& algorithm, const void* a,
                   const void* b, void* c, void* workspace, cudaStream_t stream) override {
    WEFT_CHECK(Multiple(a) && Multiple(b) && Multiple(c) && Multiple(workspace) &&
                   Multiple(product.a) && Multiple(product.b) && Multiple(product.c),
               "cuBLASLt takes multiples of 16 bytes");
    if (!Takes(product, algorithm)) {
      return absl::InternalError("the algorithm does not take so few columns");
    }
    ++products_run;
    cudaLaunchConfig_t config{};
    config.gridDim = 1;
    config.blockDim = kThreads;
    config.stream = stream;
    const cudaError_t error =
        cudaLaunchKernelEx(&config, ProductKernel, product, algorithm.data[0], a, b, c);
    return error == cudaSuccess ? absl::OkStatus() : absl::InternalError(cudaGetErrorString(error));
  }

 private:
  static constexpr uint64_t kRefusedForOne = 3;
  static constexpr int64_t kWorkspaceBytes = 256;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CublasLt>> OpenCublasLt() {
  if (!there) return absl::UnavailableError("the emulator's is put away");
  return std::make_unique<EmulatedCublasLt>();
}

}  // namespace weft

namespace cuda_emulator {

void SetCublasLt(bool there) { weft::there = there; }
int64_t LtProductsRun() { return weft::products_run; }
int64_t LtAlgorithmsChosen() { return weft::algorithms_chosen; }

}  // namespace cuda_emulator
