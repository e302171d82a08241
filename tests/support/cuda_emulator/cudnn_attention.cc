#include "tensor/kernels/cuda/cudnn_attention.h"

#include <atomic>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "tests/support/cuda_emulator/emulated_device.h"

// Stands for cuDNN on the emulator: plain loops in the stream's order, in fp32. It knows strided
// heads alone, refuses what the library was seen to refuse, and needs a number for each score in
// the backward, as the library does; its workspace is so small that tests meet the cuts that this
// asks for.

namespace weft {
namespace {

std::atomic<bool> there = true;
std::atomic<int64_t> runs = 0;

constexpr unsigned kThreads = 32;
constexpr int64_t kMostWorkspaceBytes = int64_t{128} << 10;

bool Multiple(const void* data, uintptr_t of) {
  return reinterpret_cast<uintptr_t>(data) % of == 0;
}

// One head of queries with its keys and values, of one sequence.
struct Head {
  int64_t qkv;  // of queries, in elements from the first number
  int64_t kv;   // of keys and values
  int64_t out;  // of the output
  int64_t lse;
};

Head HeadOf(const AttentionShape& shape, int64_t sequence, int64_t head) {
  const int64_t row = sequence * shape.length;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  return {.qkv = row * shape.qkv_row + head * shape.head_dim,
          .kv = row * shape.qkv_row + kv_head * shape.head_dim,
          .out = row * shape.out_row + head * shape.head_dim,
          .lse = (sequence * shape.heads + head) * shape.length};
}

float Dot(const BFloat16* a, const BFloat16* b, int64_t n) {
  float sum = 0;
  for (int64_t i = n - 1; i >= 0; --i) sum += a[i].ToFloat() * b[i].ToFloat();
  return sum;
}

float ScaleOf(const AttentionShape& shape) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
}

void ForwardKernel(AttentionShape shape, AttentionForwardTensors tensors, char* workspace,
                   int64_t workspace_bytes) {
  workspace[workspace_bytes - 1] = 1;
  const int64_t dims = shape.head_dim;
  std::vector<float> p(static_cast<size_t>(shape.length));
  for (int64_t i = threadIdx.x; i < shape.sequences * shape.heads; i += kThreads) {
    const Head head = HeadOf(shape, i / shape.heads, i % shape.heads);
    for (int64_t t = 0; t < shape.length; ++t) {
      const BFloat16* const q = tensors.q + head.qkv + t * shape.qkv_row;
      float largest = -INFINITY;
      for (int64_t u = 0; u <= t; ++u) {
        float& score = p[static_cast<size_t>(u)];
        score = ScaleOf(shape) * Dot(q, tensors.k + head.kv + u * shape.qkv_row, dims);
        largest = std::max(largest, score);
      }
      float denominator = 0;
      for (int64_t u = 0; u <= t; ++u) {
        float& weight = p[static_cast<size_t>(u)];
        weight = std::exp(weight - largest);
        denominator += weight;
      }
      for (int64_t d = 0; d < dims; ++d) {
        float sum = 0;
        for (int64_t u = 0; u <= t; ++u)
          sum += p[static_cast<size_t>(u)] * tensors.v[head.kv + u * shape.qkv_row + d].ToFloat();
        tensors.out[head.out + t * shape.out_row + d] = BFloat16::FromFloat(sum / denominator);
      }
      tensors.lse[head.lse + t] = largest + std::log(denominator);
    }
  }
}

// A thread has heads of keys and values, with all of their queries.
void BackwardKernel(AttentionShape shape, AttentionBackwardTensors tensors, char* workspace,
                    int64_t workspace_bytes) {
  workspace[workspace_bytes - 1] = 1;
  const int64_t dims = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  const auto size = static_cast<size_t>(shape.length * dims);
  for (int64_t i = threadIdx.x; i < shape.sequences * shape.kv_heads; i += kThreads) {
    const int64_t sequence = i / shape.kv_heads;
    const int64_t kv_head = i % shape.kv_heads;
    std::vector<float> dk(size), dv(size);
    for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
      const Head head = HeadOf(shape, sequence, h);
      for (int64_t t = 0; t < shape.length; ++t) {
        const BFloat16* const q = tensors.q + head.qkv + t * shape.qkv_row;
        const BFloat16* const d_out = tensors.d_out + head.out + t * shape.out_row;
        const float delta = Dot(d_out, tensors.out + head.out + t * shape.out_row, dims);
        std::vector<float> dq(static_cast<size_t>(dims));
        for (int64_t u = 0; u <= t; ++u) {
          const int64_t key = head.kv + u * shape.qkv_row;
          const float score = ScaleOf(shape) * Dot(q, tensors.k + key, dims);
          const float p = std::exp(score - tensors.lse[head.lse + t]);
          const float ds = ScaleOf(shape) * p * (Dot(d_out, tensors.v + key, dims) - delta);
          for (int64_t d = 0; d < dims; ++d) {
            dq[static_cast<size_t>(d)] += ds * tensors.k[key + d].ToFloat();
            dk[static_cast<size_t>(u * dims + d)] += ds * q[d].ToFloat();
            dv[static_cast<size_t>(u * dims + d)] += p * d_out[d].ToFloat();
          }
        }
        for (int64_t d = 0; d < dims; ++d)
          tensors.dq[head.qkv + t * shape.qkv_row + d] =
              BFloat16::FromFloat(dq[static_cast<size_t>(d)]);
      }
    }
    for (int64_t u = 0; u < shape.length; ++u) {
      const int64_t key = (sequence * shape.length + u) * shape.qkv_row + kv_head * dims;
      for (int64_t d = 0; d < dims; ++d) {
        tensors.dk[key + d] = BFloat16::FromFloat(dk[static_cast<size_t>(u * dims + d)]);
        tensors.dv[key + d] = BFloat16::FromFloat(dv[static_cast<size_t>(u * dims + d)]);
      }
    }
  }
}

class EmulatedCudnn final : public CudnnAttention {
 public:
  std::string description() const override { return "plain loops in the place of cuDNN"; }

  int64_t most_workspace_bytes() const override { return kMostWorkspaceBytes; }

  absl::StatusOr<AttentionPlan> Plan(AttentionDirection direction,
                                     const AttentionShape& shape) override {
    WEFT_CHECK(shape.head_dim % 8 == 0 && shape.head_dim <= 128 && shape.sequences > 0 &&
                   shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0,
               "nothing is asked for that the documentation excludes");
    if (shape.length == 1) return absl::UnavailableError("one token is nothing to attend to");
    if (shape.sequences > 1 && shape.out_row != shape.heads * shape.head_dim)
      return absl::UnavailableError("lse of several sequences has all heads");
    if (direction == AttentionDirection::kForward) return AttentionPlan{"loops", 256};
    const int64_t scores = shape.sequences * shape.heads * shape.length * shape.length;
    return AttentionPlan{"loops", 2 * scores};
  }

  absl::Status Forward(const AttentionShape& shape, const AttentionForwardTensors& tensors,
                       void* workspace, cudaStream_t stream) override {
    CheckAddresses({tensors.q, tensors.k, tensors.v, tensors.out});
    return Run(AttentionDirection::kForward, shape, workspace, stream, ForwardKernel, tensors);
  }

  absl::Status Backward(const AttentionShape& shape, const AttentionBackwardTensors& tensors,
                        void* workspace, cudaStream_t stream) override {
    CheckAddresses({tensors.q, tensors.k, tensors.v, tensors.out, tensors.d_out, tensors.dq,
                    tensors.dk, tensors.dv});
    return Run(AttentionDirection::kBackward, shape, workspace, stream, BackwardKernel, tensors);
  }

 private:
  static void CheckAddresses(std::initializer_list<const void*> addresses) {
    for (const void* address : addresses)
      WEFT_CHECK(Multiple(address, 16), "cuDNN takes multiples of 16 bytes");
  }

  template <typename Tensors>
  absl::Status Run(AttentionDirection direction, const AttentionShape& shape, void* workspace,
                   cudaStream_t stream, void (*kernel)(AttentionShape, Tensors, char*, int64_t),
                   Tensors tensors) {
    const auto plan = Plan(direction, shape);
    if (!plan.ok()) return plan.status();
    WEFT_CHECK(Multiple(workspace, 256), "a workspace begins at a multiple of 256 bytes");
    ++runs;
    cudaLaunchConfig_t config{};
    config.gridDim = 1;
    config.blockDim = kThreads;
    config.stream = stream;
    const cudaError_t error = cudaLaunchKernelEx(
        &config, kernel, shape, tensors, static_cast<char*>(workspace), plan->workspace_bytes);
    return error == cudaSuccess ? absl::OkStatus() : absl::InternalError(cudaGetErrorString(error));
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<CudnnAttention>> OpenCudnnAttention() {
  if (!there) return absl::UnavailableError("the emulator's is put away");
  return std::make_unique<EmulatedCudnn>();
}

absl::StatusOr<std::unique_ptr<CudnnAttention>> PlanCudnnAttention(const std::string& /*device*/) {
  return absl::UnavailableError("the emulator is a device");
}

}  // namespace weft

namespace cuda_emulator {

void SetCudnn(bool there) { weft::there = there; }
int64_t CudnnRuns() { return weft::runs; }

}  // namespace cuda_emulator
