#include "comm/mpi/mpi_transfer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "comm/mpi/mpi_error.h"

namespace weft {

MpiTransfer::MpiTransfer(MPI_Comm comm, int tag, int64_t max_message_bytes, Group group)
    : comm_(comm), tag_(tag), max_message_bytes_(max_message_bytes), group_(std::move(group)) {}

void MpiTransfer::Start(std::span<const Outgoing> out, std::span<const Incoming> in) {
  WEFT_CHECK(outstanding_ == 0, "one exchange at a time");
  pieces_.clear();
  requests_.clear();
  status_ = absl::OkStatus();
  abandoned_ = false;
  for (const Incoming& message : in) PostPieces(message.peer, message.data, message.bytes, true);
  for (const Outgoing& message : out) {
    // MPI's receive and send differ in the constness of the buffer alone; a send only reads.
    PostPieces(message.peer, const_cast<void*>(message.data), message.bytes, false);
  }
  indices_.resize(requests_.size());
  statuses_.resize(requests_.size());
}

void MpiTransfer::PostPieces(int peer, void* data, int64_t bytes, bool incoming) {
  const int rank = group_.global(peer).value;
  int64_t done = 0;
  do {  // at least once: an empty message is a message
    const int64_t size = std::min(bytes - done, max_message_bytes_);
    char* begin = static_cast<char*>(data) + done;
    MPI_Request request = MPI_REQUEST_NULL;
    const int code =
        incoming ? MPI_Irecv(begin, static_cast<int>(size), MPI_BYTE, rank, tag_, comm_, &request)
                 : MPI_Isend(begin, static_cast<int>(size), MPI_BYTE, rank, tag_, comm_, &request);
    if (code != MPI_SUCCESS) {
      if (status_.ok()) status_ = MpiStatus(code, absl::StrCat("rank ", rank));
      return;
    }
    pieces_.push_back({peer, size, incoming});
    requests_.push_back(request);
    ++outstanding_;
    done += size;
  } while (done < bytes);
}

bool MpiTransfer::Test() {
  if (outstanding_ == 0) return false;
  int ended = 0;
  const int code = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &ended,
                                indices_.data(), statuses_.data());
  if (ended == MPI_UNDEFINED) ended = 0;
  for (int i = 0; i < ended; ++i) {
    const MPI_Status& status = statuses_[static_cast<size_t>(i)];
    const auto index = static_cast<size_t>(indices_[static_cast<size_t>(i)]);
    Finish(pieces_[index], status, code == MPI_ERR_IN_STATUS ? status.MPI_ERROR : MPI_SUCCESS);
  }
  if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS && status_.ok()) {
    status_ = MpiStatus(code, "MPI_Testsome");
  }
  return ended > 0;
}

void MpiTransfer::Finish(const Piece& piece, const MPI_Status& status, int code) {
  --outstanding_;
  if (!status_.ok()) return;  // the first error stays; cancelled pieces come after it
  int error_class = MPI_SUCCESS;
  if (code != MPI_SUCCESS) MPI_Error_class(code, &error_class);
  int received = 0;
  if (piece.incoming) MPI_Get_count(&status, MPI_BYTE, &received);
  if (error_class == MPI_ERR_TRUNCATE ||
      (error_class == MPI_SUCCESS && piece.incoming && received != piece.bytes)) {
    status_ = SizeMismatchError(group_, piece.peer, received, piece.bytes);
  } else if (code != MPI_SUCCESS) {
    status_ = MpiStatus(code, absl::StrCat("rank ", group_.global(piece.peer).value));
  }
}

std::vector<int> MpiTransfer::PeersOfOpenPieces(bool incoming) const {
  std::vector<int> peers;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] != MPI_REQUEST_NULL && pieces_[i].incoming == incoming) {
      peers.push_back(pieces_[i].peer);
    }
  }
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

bool MpiTransfer::Abandon() {
  missing_ = PeersOfOpenPieces(/*incoming=*/true);
  if (missing_.empty()) missing_ = PeersOfOpenPieces(/*incoming=*/false);
  if (status_.ok()) {
    status_ = absl::CancelledError(absl::StrCat("group \"", group_.name, "\" gave up waiting for ",
                                                DescribeMembers(group_, missing_)));
  }
  abandoned_ = true;
  // A receive that no message has met yet is taken back at once. A send cannot be taken back in
  // Open MPI; a short one has left its buffer long ago.
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] != MPI_REQUEST_NULL && pieces_[i].incoming) MPI_Cancel(&requests_[i]);
  }
  while (Test()) {
  }
  return outstanding_ == 0;
}

}  // namespace weft
