#include "comm/socket/socket_backend.h"

#include <sys/resource.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/direct_communicator.h"
#include "comm/group.h"
#include "comm/socket/socket_exchange.h"

namespace weft {
namespace {

// As far as a process may by itself; where that is not enough a Connect says so.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

SocketBackend::SocketBackend(std::shared_ptr<Rendezvous> rendezvous)
    : rendezvous_(std::move(rendezvous)) {
  RaiseDescriptorLimit();
}

absl::StatusOr<std::unique_ptr<Communicator>> SocketBackend::Connect(
    const std::string& name, const std::vector<RankId>& ranks, absl::Duration deadline) {
  const int number = rendezvous_->TakeNumber();  // every call takes one: the ranks' counts agree
  WEFT_ASSIGN_OR_RETURN(Group group,
                        MakeGroup(name, ranks, RankId{rank()}, world_size(), deadline));
  const auto exchange = std::make_shared<SocketExchange>(group, number);
  open_.Add(exchange);
  absl::StatusOr<std::vector<FileDescriptor>> connections =
      rendezvous_->Meet(number, group, exchange->end());
  if (!connections.ok()) {
    return WithContext(connections.status(), absl::StrCat("Connect: group \"", name, "\""));
  }
  exchange->Take(*std::move(connections));
  return DirectCommunicator::Connect(std::move(group), exchange);
}

}  // namespace weft
