#include "bench/simgrid/smpi_exchange.h"

#include "base/check.h"

namespace weft {

absl::Status SmpiExchange::Run(std::span<const Outgoing> out, std::span<const Incoming> in) {
  if (!first_error_.ok()) return first_error_;
  WEFT_CHECK(requests_.empty(), "one exchange at a time");
  expected_.assign(in.begin(), in.end());
  const auto post = [&](auto call, auto* data, int64_t bytes, int peer) {
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = call(data, static_cast<int>(bytes), MPI_BYTE, group_.global(peer).value, tag_,
                          MPI_COMM_WORLD, &request);
    WEFT_CHECK(code == MPI_SUCCESS, "MPI takes the message");
    requests_.push_back(request);
  };
  for (const Incoming& message : in) post(MPI_Irecv, message.data, message.bytes, message.peer);
  for (const Outgoing& message : out) post(MPI_Isend, message.data, message.bytes, message.peer);
  if (held_) return absl::OkStatus();
  return Finish();
}

absl::Status SmpiExchange::Finish() {
  held_ = false;
  std::vector<MPI_Status> statuses(requests_.size());
  const int code =
      MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), statuses.data());
  WEFT_CHECK(code == MPI_SUCCESS, "MPI moves the messages");
  requests_.clear();
  for (size_t i = 0; i < expected_.size(); ++i) {
    int bytes = 0;
    MPI_Get_count(&statuses[i], MPI_BYTE, &bytes);
    if (bytes == expected_[i].bytes) continue;
    first_error_.Update(SizeMismatchError(group_, expected_[i].peer, bytes, expected_[i].bytes));
  }
  return first_error_;
}

}  // namespace weft
