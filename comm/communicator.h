#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "base/ids.h"
#include "tensor/view.h"

// Collectives over one group of ranks. Called from inside a stream's Work (tensor/device/stream.h):
// when traits().completion is kOnReturn the operation has ended when the call returns (CPU); when
// it is kStreamOrdered that holds for tensors on the host, and for those in a device's memory the
// call has only enqueued it on the stream of the Work (a GPU): an error that comes later shows in
// Health.
//
// COLLECTIVE: every member calls the same operations in the same order with sizes that agree, and
// has its tensors in the same kind of memory. Where kStreamOrdered, all members must also call the
// operations of all their communicators in one order: on a device one may hold up the next. One
// thread at a time. Zero rows or bytes for any peer are ordinary: the call still happens on every
// member. Bits: reductions add contributions in ascending group rank: ((x0 + x1) + x2) + ...,
// whatever the size or offset. Errors: kDeadlineExceeded names the group and the missing members,
// kAborted carries the first cause, kUnavailable: a peer is gone. After any error the communicator
// is unusable.

namespace weft {

enum class ReduceOp { kSum, kMax };
enum class Completion { kOnReturn, kStreamOrdered };

struct CommunicatorTraits {
  Completion completion = Completion::kOnReturn;
  bool rank_ordered_sums = true;  // "Bits" above holds
  bool checks_sizes = true;       // sizes that disagree are an error; otherwise anything can happen
  bool max_keeps_nan = true;      // a NaN of one member is the maximum; otherwise it may get lost
  friend bool operator==(const CommunicatorTraits&, const CommunicatorTraits&) = default;
};

// Rows for peer p stand at sum(rows[0..p)) in the buffer, both ways, unless `begin` says where.
// send and recv are [total rows, width], same width. REQUIRES: send_rows[q] on p equals
// recv_rows[p] on q; where recv_begin is given, received blocks do not overlap. Buffers may be
// larger than the sums; rows between blocks are left alone.
struct AllToAllVArgs {
  ConstTensorView send;
  std::span<const int64_t> send_rows;  // [group size]
  TensorView recv;
  std::span<const int64_t> recv_rows;        // [group size]
  std::span<const int64_t> send_begin = {};  // [group size], or empty: packed
  std::span<const int64_t> recv_begin = {};  // [group size], or empty: packed
};

// Member p contributes rows[p] rows; everyone receives all of them in rank order. `rows` is equal
// on all members.
struct AllGatherVArgs {
  ConstTensorView send;           // [rows[me], width]
  TensorView recv;                // [sum(rows), width]
  std::span<const int64_t> rows;  // [group size]
};

// Everyone holds sum(rows) rows; member p receives the sum over members of block p. `rows` is equal
// on all members.
struct ReduceScatterVArgs {
  ConstTensorView send;           // [sum(rows), width] fp32 or bf16
  TensorView recv;                // [rows[me], width], of the same type; must not alias send
  std::span<const int64_t> rows;  // [group size]
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;  // within the group
  virtual int size() const = 0;
  virtual CommunicatorTraits traits() const = 0;

  // fp32, bf16 (added up in fp32, rounded once a step), fp64 or int64. In place: `data` is the
  // input and the result on every member.
  virtual absl::Status AllReduce(TensorView data, ReduceOp op) = 0;
  // Equal contributions: recv holds size() blocks shaped like send, in rank order. Any dtype.
  virtual absl::Status AllGather(ConstTensorView send, TensorView recv) = 0;
  virtual absl::Status AllGatherV(const AllGatherVArgs& args) = 0;
  virtual absl::Status ReduceScatterV(const ReduceScatterVArgs& args) = 0;
  virtual absl::Status AllToAllV(const AllToAllVArgs& args) = 0;
  virtual absl::Status Broadcast(TensorView data, int root) = 0;
  virtual absl::Status Barrier() = 0;

  // OK until the communicator failed or was aborted. Thread-safe.
  virtual absl::Status Health() const = 0;
  // Unblocks whoever waits in this communicator on this rank, with kAborted and the cause.
  // Thread-safe, idempotent.
  virtual void Abort(const absl::Status& cause) = 0;
};

}  // namespace weft
