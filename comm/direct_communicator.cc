#include "comm/direct_communicator.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/all_reduce.h"
#include "base/fingerprint.h"
#include "base/status_macros.h"
#include "comm/collective_args.h"
#include "comm/ordered_reduce.h"
#include "comm/rows.h"

namespace weft {
namespace {

const char* At(const void* data, int64_t bytes) { return static_cast<const char*>(data) + bytes; }
char* At(void* data, int64_t bytes) { return static_cast<char*>(data) + bytes; }

void CopyOwn(void* to, const void* from, int64_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, static_cast<size_t>(bytes));
}

// What all members must have asked for alike.
int64_t GroupFingerprint(const Group& group) {
  uint64_t digest = Fingerprint(group.name);
  for (RankId rank : group.ranks) {
    digest = CombineFingerprints(digest, static_cast<uint64_t>(rank.value));
  }
  return static_cast<int64_t>(digest);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> DirectCommunicator::Connect(
    Group group, std::shared_ptr<Exchange> exchange) {
  const int64_t mine = GroupFingerprint(group);
  std::vector<int64_t> all(static_cast<size_t>(group.size()));
  std::unique_ptr<DirectCommunicator> made(
      new DirectCommunicator(std::move(group), std::move(exchange)));
  WEFT_RETURN_IF_ERROR(WithContext(
      made->AllGather(View(&mine, {1}), View(all.data(), {made->group_.size()})), "Connect"));
  for (int member = 0; member < made->size(); ++member) {
    if (all[static_cast<size_t>(member)] == mine) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("group \"", made->group_.name, "\": rank ", made->group_.global(member).value,
                     " connects a group of another name or other members in this call"));
  }
  return made;
}

DirectCommunicator::DirectCommunicator(Group group, std::shared_ptr<Exchange> exchange)
    : group_(std::move(group)), exchange_(std::move(exchange)) {
  const auto members = static_cast<size_t>(size());
  out_.reserve(members);
  in_.reserve(members);
  inputs_.resize(members);
}

void DirectCommunicator::Send(int peer, const void* data, int64_t bytes) {
  out_.push_back({peer, data, bytes});
}

void DirectCommunicator::Receive(int peer, void* data, int64_t bytes) {
  in_.push_back({peer, data, bytes});
}

absl::Status DirectCommunicator::Run(std::string_view operation) {
  absl::Status status = exchange_->Run(out_, in_);
  out_.clear();
  in_.clear();
  if (status.ok()) return status;
  return WithContext(status, absl::StrCat("group \"", group_.name, "\", ",
                                          absl::string_view(operation.data(), operation.size())));
}

absl::Status DirectCommunicator::Health() const {
  absl::Status health = exchange_->Health();
  if (health.ok()) return health;
  return WithContext(health, absl::StrCat("group \"", group_.name, "\""));
}

void DirectCommunicator::ReceiveContributions(const void* mine, int64_t bytes) {
  scratch_.Reserve((size() - 1) * bytes);
  char* next = scratch_.as<char>();
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) {
      inputs_[static_cast<size_t>(peer)] = mine;
      continue;
    }
    inputs_[static_cast<size_t>(peer)] = next;
    Receive(peer, next, bytes);
    next += bytes;
  }
}

absl::Status DirectCommunicator::AllReduce(TensorView data, ReduceOp op) {
  const AllReduceCost cost = CostOfAllReduce(data.elements(), SizeOf(data.dtype), size());
  return cost.steps == 1 ? OneStepAllReduce(data, op) : TwoStepAllReduce(data, op);
}

absl::Status DirectCommunicator::OneStepAllReduce(TensorView data, ReduceOp op) {
  ReceiveContributions(data.data, data.bytes());
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank()) Send(peer, data.data, data.bytes());
  }
  WEFT_RETURN_IF_ERROR(Run("AllReduce"));
  OrderedReduce(inputs_, data.data, data.elements(), data.dtype, op);
  return absl::OkStatus();
}

absl::Status DirectCommunicator::TwoStepAllReduce(TensorView data, ReduceOp op) {
  const int64_t elements = data.elements();
  const int64_t block = AllReduceBlock(elements, size());
  const int64_t unit = SizeOf(data.dtype);
  const auto begin = [&](int member) { return std::min(member * block, elements); };
  const auto count = [&](int member) { return begin(member + 1) - begin(member); };
  char* mine = At(data.data, begin(rank()) * unit);
  const int64_t my_bytes = count(rank()) * unit;

  ReceiveContributions(mine, my_bytes);
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank()) Send(peer, At(data.data, begin(peer) * unit), count(peer) * unit);
  }
  WEFT_RETURN_IF_ERROR(Run("AllReduce"));
  OrderedReduce(inputs_, mine, count(rank()), data.dtype, op);

  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    Send(peer, mine, my_bytes);
    Receive(peer, At(data.data, begin(peer) * unit), count(peer) * unit);
  }
  return Run("AllReduce");
}

absl::Status DirectCommunicator::AllGather(ConstTensorView send, TensorView recv) {
  CheckAllGather(send, recv, size());
  const int64_t bytes = send.bytes();
  CopyOwn(At(recv.data, rank() * bytes), send.data, bytes);
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    Send(peer, send.data, bytes);
    Receive(peer, At(recv.data, peer * bytes), bytes);
  }
  return Run("AllGather");
}

absl::Status DirectCommunicator::AllGatherV(const AllGatherVArgs& args) {
  CheckAllGatherV(args, rank(), size());
  const int64_t my_rows = args.rows[static_cast<size_t>(rank())];
  const int64_t row_bytes = RowBytes(args.send);
  char* next = static_cast<char*>(args.recv.data);
  for (int peer = 0; peer < size(); ++peer) {
    const int64_t bytes = args.rows[static_cast<size_t>(peer)] * row_bytes;
    if (peer == rank()) {
      CopyOwn(next, args.send.data, bytes);
    } else {
      Send(peer, args.send.data, my_rows * row_bytes);
      Receive(peer, next, bytes);
    }
    next += bytes;
  }
  return Run("AllGatherV");
}

absl::Status DirectCommunicator::ReduceScatterV(const ReduceScatterVArgs& args) {
  CheckReduceScatterV(args, rank(), size());
  const int64_t my_rows = args.rows[static_cast<size_t>(rank())];
  const int64_t row_bytes = RowBytes(args.send);
  const int64_t my_begin = TotalRows(args.rows.first(static_cast<size_t>(rank())));
  ReceiveContributions(At(args.send.data, my_begin * row_bytes), my_rows * row_bytes);
  int64_t begin = 0;
  for (int peer = 0; peer < size(); ++peer) {
    const int64_t bytes = args.rows[static_cast<size_t>(peer)] * row_bytes;
    if (peer != rank()) Send(peer, At(args.send.data, begin), bytes);
    begin += bytes;
  }
  WEFT_RETURN_IF_ERROR(Run("ReduceScatterV"));
  OrderedReduce(inputs_, args.recv.data, my_rows * row_bytes / SizeOf(args.send.dtype),
                args.send.dtype, ReduceOp::kSum);
  return absl::OkStatus();
}

absl::Status DirectCommunicator::AllToAllV(const AllToAllVArgs& args) {
  CheckAllToAllV(args, rank(), size());
  const int64_t row_bytes = RowBytes(args.send);
  PeerBlocks from(args.send_rows, args.send_begin);
  PeerBlocks to(args.recv_rows, args.recv_begin);
  for (int peer = 0; peer < size(); ++peer) {
    const PeerBlocks::Block out = from.Next();
    const PeerBlocks::Block in = to.Next();
    const char* data = At(args.send.data, out.begin * row_bytes);
    char* place = At(args.recv.data, in.begin * row_bytes);
    if (peer == rank()) {
      CopyOwn(place, data, out.rows * row_bytes);
    } else {
      Send(peer, data, out.rows * row_bytes);
      Receive(peer, place, in.rows * row_bytes);
    }
  }
  return Run("AllToAllV");
}

absl::Status DirectCommunicator::Broadcast(TensorView data, int root) {
  CheckRoot(root, size());
  if (rank() != root) {
    Receive(root, data.data, data.bytes());
  } else {
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != root) Send(peer, data.data, data.bytes());
    }
  }
  return Run("Broadcast");
}

absl::Status DirectCommunicator::Barrier() {
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    Send(peer, nullptr, 0);
    Receive(peer, nullptr, 0);
  }
  return Run("Barrier");
}

}  // namespace weft
