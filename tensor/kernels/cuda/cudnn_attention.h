#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bfloat16.h"

// What Weft asks of cuDNN: causal attention with grouped queries, in bf16. The library is opened
// when a device is, never linked; cudnn/cudnn_attention.cc alone knows its headers. On the emulator
// something else stands behind this (tests/support/cuda_emulator/cudnn_attention.cc).

namespace weft {

// Some heads of some whole sequences that stand one after the other. Head h of the queries uses
// key/value head h / (heads / kv_heads). Token t of sequence s is row s * length + t of matrices
// whose rows may be longer than what the heads take of them; a head's numbers stand together, and
// so do heads. Where they are longer, the library takes one sequence at a time.
struct AttentionShape {
  int64_t sequences = 0, length = 0, heads = 0, kv_heads = 0, head_dim = 0;
  // Elements from one row to the next.
  int64_t qkv_row = 0;  // of queries, keys, values and their gradients
  int64_t out_row = 0;  // of the output and its gradient
  auto operator<=>(const AttentionShape&) const = default;
};

// Addresses of the first number of the first head's first token; multiples of 16 bytes, except of
// lse.
struct AttentionForwardTensors {
  const BFloat16 *q, *k, *v;
  BFloat16* out;
  float* lse;  // [sequences, heads, length]: natural log of the softmax denominator, of scores
               // times head_dim^(-1/2)
};
struct AttentionBackwardTensors {
  const BFloat16 *q, *k, *v, *out, *d_out;
  const float* lse;
  BFloat16 *dq, *dk, *dv;
};

enum class AttentionDirection : uint8_t { kForward, kBackward };

// How the library computes a shape. Plans are made once and kept: the first call with a shape
// compiles a kernel, which takes about a second.
struct AttentionPlan {
  std::string engine;  // what computes, with its settings, in the library's words
  int64_t workspace_bytes = 0;
};

// The library on one device. Thread-safe.
//
// Bits: the same arguments give the same bits, and those of a sequence are the same in calls of any
// number of sequences. This rests on three things. An engine and its settings are chosen once for
// each (direction, length, heads, kv_heads, head_dim, rows), for one sequence, and computes every
// number of them: what it does by tiles follows from the settings. Engines that the library notes
// as nondeterministic are left out, and the backward is asked for its deterministic algorithm,
// which stores the gradients of the probabilities and adds up dq from them in order instead of by
// atomics. And a thread block of these engines works for one head of one sequence. The last is what
// flash attention does, not what the documentation promises: KernelsAttentionTest
// .SequencesDoNotTouchEachOther shows it on a device.
class CudnnAttention {
 public:
  virtual ~CudnnAttention() = default;

  virtual std::string description() const = 0;  // "cuDNN 9.19.0"
  // Shapes whose plans need more are to be cut, or left to somebody else.
  virtual int64_t most_workspace_bytes() const = 0;

  // An error says why the library does not take the shape.
  virtual absl::StatusOr<AttentionPlan> Plan(AttentionDirection direction,
                                             const AttentionShape& shape) = 0;

  // These give a run to the stream. `workspace`: what the shape's plan needs, of that stream's work
  // alone, aligned to 256 bytes.
  virtual absl::Status Forward(const AttentionShape& shape, const AttentionForwardTensors& tensors,
                               void* workspace, cudaStream_t stream) = 0;
  // Overwrites dq, dk and dv.
  virtual absl::Status Backward(const AttentionShape& shape,
                                const AttentionBackwardTensors& tensors, void* workspace,
                                cudaStream_t stream) = 0;
};

// On this thread's device. kUnavailable, in a sentence, when the library is not there or does not
// compute attention on the device.
absl::StatusOr<std::unique_ptr<CudnnAttention>> OpenCudnnAttention();

// For a device that is not there: makes plans and runs none. `device`: cuDNN's JSON of its
// properties.
absl::StatusOr<std::unique_ptr<CudnnAttention>> PlanCudnnAttention(const std::string& device);

}  // namespace weft
