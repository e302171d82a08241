#include "comm/collective_args.h"

#include "base/check.h"
#include "comm/rows.h"

namespace weft {
namespace {

void CheckSameRows(const ConstTensorView& send, const ConstTensorView& recv) {
  WEFT_CHECK(send.dtype == recv.dtype && RowBytes(send) == RowBytes(recv),
             "send and recv have the same element type and width");
}

void CheckRows(const ConstTensorView& send, int64_t send_rows, const ConstTensorView& recv,
               int64_t recv_rows) {
  CheckSameRows(send, recv);
  WEFT_CHECK(send_rows <= send.dim(0) && recv_rows <= recv.dim(0), "the rows fit their buffers");
}

void CheckCounts(std::span<const int64_t> rows, int size) {
  WEFT_CHECK(std::ssize(rows) == size, "one row count a member");
}

void CheckBlocks(std::span<const int64_t> rows, std::span<const int64_t> begin, int64_t capacity) {
  WEFT_CHECK(begin.empty() || begin.size() == rows.size(), "one begin a member, or none");
  PeerBlocks blocks(rows, begin);
  for (size_t peer = 0; peer < rows.size(); ++peer) {
    const PeerBlocks::Block block = blocks.Next();
    WEFT_CHECK(block.begin >= 0 && block.begin + block.rows <= capacity,
               "the rows fit their buffers");
  }
}

}  // namespace

void CheckAllGather(const ConstTensorView& send, const TensorView& recv, int size) {
  WEFT_CHECK(send.dtype == recv.dtype && recv.bytes() == send.bytes() * size,
             "recv holds one block a member, each like send");
}

void CheckAllGatherV(const AllGatherVArgs& args, int rank, int size) {
  CheckCounts(args.rows, size);
  CheckRows(args.send, args.rows[static_cast<size_t>(rank)], args.recv, TotalRows(args.rows));
}

void CheckReduceScatterV(const ReduceScatterVArgs& args, int rank, int size) {
  CheckCounts(args.rows, size);
  WEFT_CHECK(args.send.dtype == DType::kF32 || args.send.dtype == DType::kBF16,
             "ReduceScatterV takes f32 or bf16");
  CheckRows(args.send, TotalRows(args.rows), args.recv, args.rows[static_cast<size_t>(rank)]);
}

void CheckAllToAllV(const AllToAllVArgs& args, int rank, int size) {
  CheckCounts(args.send_rows, size);
  CheckCounts(args.recv_rows, size);
  CheckSameRows(args.send, args.recv);
  CheckBlocks(args.send_rows, args.send_begin, args.send.dim(0));
  CheckBlocks(args.recv_rows, args.recv_begin, args.recv.dim(0));
  const auto me = static_cast<size_t>(rank);
  WEFT_CHECK(args.send_rows[me] == args.recv_rows[me], "as many own rows sent as received");
}

void CheckRoot(int root, int size) { WEFT_CHECK(root >= 0 && root < size, "the root is a member"); }

PeerBlocks::Block PeerBlocks::Next() {
  const int64_t rows = rows_[peer_];
  const Block block{begin_.empty() ? packed_ : begin_[peer_], rows};
  ++peer_;
  packed_ += rows;
  return block;
}

}  // namespace weft
