#include "comm/mpi/mpi_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/direct_communicator.h"
#include "comm/group.h"

namespace weft {

MpiBackend::MpiBackend(int rank, int world_size, int64_t max_message_bytes, MpiProgress* progress,
                       int* next_tag)
    : rank_(rank),
      world_size_(world_size),
      max_message_bytes_(max_message_bytes),
      progress_(progress),
      next_tag_(next_tag) {}

absl::StatusOr<std::unique_ptr<Communicator>> MpiBackend::Connect(const std::string& name,
                                                                  const std::vector<RankId>& ranks,
                                                                  absl::Duration deadline) {
  const int tag = (*next_tag_)++;  // every call takes one, or the ranks' counts would part
  WEFT_ASSIGN_OR_RETURN(Group group, MakeGroup(name, ranks, RankId{rank_}, world_size_, deadline));
  if (tag > progress_->max_tag()) {
    return absl::ResourceExhaustedError(absl::StrCat("group \"", name, "\": this MPI has ",
                                                     progress_->max_tag(),
                                                     " tags and all are taken by earlier groups"));
  }
  std::shared_ptr<Exchange> exchange = progress_->MakeExchange(group, tag, max_message_bytes_);
  open_.Add(exchange);
  return DirectCommunicator::Connect(std::move(group), std::move(exchange));
}

}  // namespace weft
