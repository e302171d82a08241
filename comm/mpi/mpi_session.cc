#include "comm/mpi/mpi_session.h"

#include <mpi.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <set>

#include "base/check.h"
#include "base/status_macros.h"
#include "comm/mpi/mpi_backend.h"
#include "comm/mpi/mpi_error.h"
#include "comm/mpi/mpi_progress.h"

namespace weft {
namespace {

// The node of every rank. A node is named by its first rank while ranks find out, then numbered.
absl::StatusOr<std::vector<int>> FindNodes(int rank, int world_size) {
  MPI_Comm node = MPI_COMM_NULL;
  WEFT_RETURN_IF_ERROR(MpiStatus(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
      "MPI_Comm_split_type"));
  int first = rank;  // members are ordered by rank: member 0 has the lowest
  WEFT_RETURN_IF_ERROR(MpiStatus(MPI_Bcast(&first, 1, MPI_INT, 0, node), "MPI_Bcast"));
  MPI_Comm_free(&node);
  std::vector<int> nodes(static_cast<size_t>(world_size));
  WEFT_RETURN_IF_ERROR(
      MpiStatus(MPI_Allgather(&first, 1, MPI_INT, nodes.data(), 1, MPI_INT, MPI_COMM_WORLD),
                "MPI_Allgather"));
  const std::set<int> firsts(nodes.begin(), nodes.end());
  for (int& n : nodes) n = static_cast<int>(std::distance(firsts.begin(), firsts.find(n)));
  return nodes;
}

// Settings of Open MPI (docs/decisions/0004 and 0022). The user's own stay.
void TuneOpenMpi() {
  constexpr int kKeep = 0;
  // It moves shared-memory messages in 32 KiB pieces, three a look, tuned for a caller that spins.
  // Ours naps between looks, so that larger pieces are several times as fast.
  setenv("OMPI_MCA_btl_vader_max_send_size", "262144", kKeep);
  // Over TCP it "puts" long messages: the receiver has to ask for each, and its asking waits behind
  // the long message that it is sending itself. Two ranks that exchange would take turns.
  setenv("OMPI_MCA_btl_tcp_flags", "send", kKeep);
}

}  // namespace

MpiSession::MpiSession() = default;
MpiSession::~MpiSession() = default;

absl::StatusOr<std::unique_ptr<MpiSession>> MpiSession::Init(int* argc, char*** argv) {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised != 0) return absl::FailedPreconditionError("MPI is initialised already");
  TuneOpenMpi();
  int provided = MPI_THREAD_SINGLE;
  WEFT_RETURN_IF_ERROR(
      MpiStatus(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread"));
  if (provided < MPI_THREAD_SERIALIZED) {
    return absl::FailedPreconditionError(
        "this MPI serves the main thread only; Weft needs MPI_THREAD_SERIALIZED");
  }
  WEFT_RETURN_IF_ERROR(MpiStatus(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                                 "MPI_Comm_set_errhandler"));
  std::unique_ptr<MpiSession> session(new MpiSession());
  int world_size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &session->rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  int length = 0;
  WEFT_RETURN_IF_ERROR(
      MpiStatus(MPI_Get_processor_name(host.data(), &length), "MPI_Get_processor_name"));
  session->host_name_.assign(host.data(), static_cast<size_t>(length));
  WEFT_ASSIGN_OR_RETURN(session->nodes_, FindNodes(session->rank_, world_size));

  MPI_Comm comm = MPI_COMM_NULL;
  WEFT_RETURN_IF_ERROR(MpiStatus(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup"));
  int* max_tag = nullptr;
  int found = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&max_tag), &found);
  constexpr int kTagsOfEveryMpi = 32767;
  session->progress_ = std::make_unique<MpiProgress>(comm, found != 0 ? *max_tag : kTagsOfEveryMpi);
  return session;
}

std::unique_ptr<Backend> MpiSession::MakeBackend(int64_t max_message_bytes) {
  WEFT_CHECK(max_message_bytes >= 1 && max_message_bytes <= INT32_MAX, "the bytes fit an int");
  return std::make_unique<MpiBackend>(rank_, world_size(), max_message_bytes, progress_.get(),
                                      &next_tag_);
}

absl::Status MpiSession::Finalize() {
  if (absl::Status broken = progress_->broken(); !broken.ok()) {
    return absl::FailedPreconditionError(broken.message());
  }
  MPI_Comm comm = progress_->comm();
  progress_.reset();  // its thread has made its last call
  WEFT_RETURN_IF_ERROR(MpiStatus(MPI_Comm_free(&comm), "MPI_Comm_free"));
  return MpiStatus(MPI_Finalize(), "MPI_Finalize");
}

}  // namespace weft
