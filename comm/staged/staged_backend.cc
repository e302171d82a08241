#include "comm/staged/staged_backend.h"

#include <utility>

#include "base/status_macros.h"
#include "comm/rows.h"
#include "tensor/device/buffer.h"

namespace weft {
namespace {

// Where rows for each peer begin: as the caller says, or one behind the other.
std::vector<int64_t> Begins(std::span<const int64_t> rows, std::span<const int64_t> given) {
  if (!given.empty()) return {given.begin(), given.end()};
  std::vector<int64_t> begins(rows.size());
  for (size_t p = 1; p < rows.size(); ++p) begins[p] = begins[p - 1] + rows[p - 1];
  return begins;
}

class StagedCommunicator final : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> inner, Memory& memory, Memory& staging)
      : inner_(std::move(inner)), memory_(memory), send_(staging), recv_(staging) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  CommunicatorTraits traits() const override { return inner_->traits(); }

  absl::Status AllReduce(TensorView data, ReduceOp op) override {
    if (!OnDevice(data)) return inner_->AllReduce(data, op);
    const TensorView host = Copied(data);
    WEFT_RETURN_IF_ERROR(inner_->AllReduce(host, op));
    memory_.FromHost(host, data);
    return absl::OkStatus();
  }

  absl::Status AllGather(ConstTensorView send, TensorView recv) override {
    if (!OnDevice(recv)) return inner_->AllGather(send, recv);
    const TensorView all = Room(recv_, recv);
    WEFT_RETURN_IF_ERROR(inner_->AllGather(Brought(send), all));
    memory_.FromHost(all, recv);
    return absl::OkStatus();
  }

  absl::Status AllGatherV(const AllGatherVArgs& args) override {
    if (!OnDevice(args.send) && !OnDevice(args.recv)) return inner_->AllGatherV(args);
    const TensorView all = Room(recv_, args.recv);
    WEFT_RETURN_IF_ERROR(inner_->AllGatherV({Brought(args.send), all, args.rows}));
    memory_.FromHost(all, args.recv);
    return absl::OkStatus();
  }

  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override {
    if (!OnDevice(args.send) && !OnDevice(args.recv)) return inner_->ReduceScatterV(args);
    const TensorView own = Room(recv_, args.recv);
    WEFT_RETURN_IF_ERROR(inner_->ReduceScatterV({Brought(args.send), own, args.rows}));
    memory_.FromHost(own, args.recv);
    return absl::OkStatus();
  }

  absl::Status AllToAllV(const AllToAllVArgs& args) override {
    if (!OnDevice(args.send) && !OnDevice(args.recv)) return inner_->AllToAllV(args);
    // On the host rows stand one behind the other, whatever lies between them on the device.
    const int64_t width = RowBytes(args.send) / SizeOf(args.send.dtype);
    const TensorView send =
        Room(send_, {nullptr, args.send.dtype, {TotalRows(args.send_rows), width}});
    const TensorView recv =
        Room(recv_, {nullptr, args.recv.dtype, {TotalRows(args.recv_rows), width}});
    const std::vector<int64_t> from = Begins(args.send_rows, args.send_begin);
    int64_t row = 0;
    for (size_t p = 0; p < from.size(); row += args.send_rows[p++]) {
      const int64_t rows = args.send_rows[p];
      memory_.ToHost(Rows(args.send, from[p], rows), Rows(send, row, rows));
    }
    WEFT_RETURN_IF_ERROR(inner_->AllToAllV({send, args.send_rows, recv, args.recv_rows}));
    const std::vector<int64_t> to = Begins(args.recv_rows, args.recv_begin);
    row = 0;
    for (size_t p = 0; p < to.size(); row += args.recv_rows[p++]) {
      const int64_t rows = args.recv_rows[p];
      memory_.FromHost(Rows(recv, row, rows), Rows(args.recv, to[p], rows));
    }
    return absl::OkStatus();
  }

  absl::Status Broadcast(TensorView data, int root) override {
    if (!OnDevice(data)) return inner_->Broadcast(data, root);
    const TensorView host = rank() == root ? Copied(data) : Room(send_, data);
    WEFT_RETURN_IF_ERROR(inner_->Broadcast(host, root));
    memory_.FromHost(host, data);
    return absl::OkStatus();
  }

  absl::Status Barrier() override { return inner_->Barrier(); }
  absl::Status Health() const override { return inner_->Health(); }
  void Abort(const absl::Status& cause) override { inner_->Abort(cause); }

 private:
  bool OnDevice(const ConstTensorView& view) const {
    return view.data != nullptr && memory_.Holds(view.data);
  }

  static TensorView Room(Buffer& buffer, const TensorView& like) {
    if (like.bytes() > 0) buffer.Reserve(like.bytes());
    return {buffer.data(), like.dtype, like.shape};
  }

  // What is sent, on the host.
  ConstTensorView Brought(const ConstTensorView& view) {
    if (!OnDevice(view)) return view;
    return Copied(view);
  }

  TensorView Copied(const ConstTensorView& view) {
    const TensorView host = Room(send_, {nullptr, view.dtype, view.shape});
    memory_.ToHost(view, host);
    return host;
  }

  const std::unique_ptr<Communicator> inner_;
  Memory& memory_;
  Buffer send_, recv_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> StagedBackend::Connect(
    const std::string& name, const std::vector<RankId>& ranks, absl::Duration deadline) {
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> inner, inner_.Connect(name, ranks, deadline));
  return std::unique_ptr<Communicator>(
      std::make_unique<StagedCommunicator>(std::move(inner), memory_, staging_));
}

}  // namespace weft
