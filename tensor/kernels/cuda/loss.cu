#include <cfloat>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/row_of_threads.h"

// The softmax's maximum and sum in one pass: Milakov and Gimelshein 2018, "Online normalizer
// calculation for softmax". A second one writes the gradient.

namespace weft {
namespace {

// A block for each row. losses[row]: -log softmax(logits)[label].
template <typename T, int kPack, bool kAligned>
__global__ __launch_bounds__(kMostThreadsOfRow) void CrossEntropyKernel(T* all_logits,
                                                                        const int32_t* labels,
                                                                        int vocab, float scale,
                                                                        bool want_gradient,
                                                                        double* losses) {
  __shared__ float floats[kMostThreadsOfRow / kWarp];
  __shared__ double doubles[kMostThreadsOfRow / kWarp];
  const int64_t row = blockIdx.x;
  T* const logits = all_logits + row * vocab;
  const int32_t label = labels[row];
  const int first = static_cast<int>(threadIdx.x) * kPack;
  const int step = static_cast<int>(blockDim.x) * kPack;
  float largest = -FLT_MAX;  // not infinite: differences to it are numbers
  float sum = 0;             // of exp(logit - largest)
#pragma unroll 4
  for (int at = first; at < vocab; at += step) {
    const Pack<kPack> values = Load<kPack, kAligned>(logits + at);
    float next = largest;
#pragma unroll
    for (int i = 0; i < kPack; ++i) next = fmaxf(next, values.at[i]);
    float powers = 0;
#pragma unroll
    for (int i = 0; i < kPack; ++i) powers += expf(values.at[i] - next);
    sum = fmaf(sum, expf(largest - next), powers);
    largest = next;
  }
  const float own = largest;
  largest = BlockMax(largest, floats);
  const double denominator = BlockSum(static_cast<double>(sum * expf(own - largest)), doubles);
  if (threadIdx.x == 0) {
    losses[row] = static_cast<double>(largest) + log(denominator) - ToFloat(logits[label]);
  }
  __syncthreads();  // the label's logit has been read
  if (!want_gradient) return;
  const auto inverse = static_cast<float>(1.0 / denominator);
#pragma unroll 2
  for (int at = first; at < vocab; at += step) {
    Pack<kPack> values = Load<kPack, kAligned>(logits + at);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float p = expf(values.at[i] - largest) * inverse;
      values.at[i] = scale * (at + i == label ? p - 1.0f : p);
    }
    Store<kAligned>(values, logits + at);
  }
}

}  // namespace

void CudaKernels::CrossEntropy(const CrossEntropyArgs& args) {
  CheckCrossEntropy(args, Indices::kOnDevice);
  const int64_t rows = args.logits.dim(0), vocab = args.logits.dim(1);
  if (args.logits.elements() == 0) return;
  double* const losses = scratch_.Ensure<double>({rows}).as<double>();
  WithRowPacks(args.logits.dtype, vocab, {args.logits.data},
               [&]<typename T, int kPack, bool kAligned>() {
                 Launch(queue_, "CrossEntropy", static_cast<unsigned>(rows),
                        ThreadsOfRow(vocab / kPack), CrossEntropyKernel<T, kPack, kAligned>,
                        args.logits.as<T>(), args.labels.as<int32_t>(), static_cast<int>(vocab),
                        args.scale, args.want_gradient, losses);
               });
  AddParts(losses, rows, args.loss_sum.as<double>());
}

}  // namespace weft
