#include <algorithm>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/reduce.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 256;

// A block for each row. losses[row]: -log softmax(logits)[label].
__global__ void CrossEntropyKernel(float* all_logits, const int32_t* labels, int64_t vocab,
                                   float scale, bool want_gradient, double* losses) {
  __shared__ float floats[kThreads / kWarp];
  __shared__ double doubles[kThreads / kWarp];
  const int64_t row = blockIdx.x;
  float* const logits = all_logits + row * vocab;
  const int32_t label = labels[row];
  float largest = -INFINITY;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) largest = fmaxf(largest, logits[i]);
  largest = BlockMax(largest, floats);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) sum += expf(logits[i] - largest);
  const double denominator = BlockSum(sum, doubles);
  if (threadIdx.x == 0) {
    losses[row] = static_cast<double>(largest) + log(denominator) - logits[label];
  }
  __syncthreads();  // the label's logit has been read
  if (!want_gradient) return;
  const auto inverse = static_cast<float>(1.0 / denominator);
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) {
    const float p = expf(logits[i] - largest) * inverse;
    logits[i] = scale * (i == label ? p - 1.0f : p);
  }
}

}  // namespace

void CudaKernels::CrossEntropy(const CrossEntropyArgs& args) {
  CheckCrossEntropy(args, Indices::kOnDevice);
  const int64_t rows = args.logits.dim(0);
  double* const losses = scratch_.Ensure<double>({std::max<int64_t>(1, rows)}).as<double>();
  Launch(queue_, "CrossEntropy", static_cast<unsigned>(rows), kThreads, CrossEntropyKernel,
         args.logits.as<float>(), args.labels.as<int32_t>(), args.logits.dim(1), args.scale,
         args.want_gradient, losses);
  AddParts(losses, rows, args.loss_sum.as<double>());
}

}  // namespace weft
