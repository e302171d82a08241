#include "launch/control/control_plane.h"

#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace weft {
namespace {

constexpr char kFailed[] = "failed: ";

uint64_t DrawJobId() {
  std::random_device device;
  uint64_t id = 0;
  while (id == 0) id = uint64_t{device()} << 32 | device();
  return id;
}

// COLLECTIVE: every rank's value, or the error of the first rank that has one.
absl::StatusOr<std::vector<std::string>> GatherOrFail(const GatherTexts& gather,
                                                      const absl::StatusOr<std::string>& mine) {
  WEFT_ASSIGN_OR_RETURN(std::vector<std::string> texts,
                        gather(mine.ok() ? *mine : absl::StrCat(kFailed, mine.status().message())));
  if (!mine.ok()) return mine.status();
  for (size_t rank = 0; rank < texts.size(); ++rank) {
    absl::string_view text = texts[rank];
    if (absl::ConsumePrefix(&text, kFailed)) {
      return absl::AbortedError(absl::StrCat("rank ", rank, ": ", text));
    }
  }
  return texts;
}

template <typename Server>
absl::StatusOr<std::string> AddressOf(const absl::StatusOr<std::unique_ptr<Server>>& server) {
  if (!server.ok()) return server.status();
  return (*server)->address();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlPlane>> ControlPlane::Connect(
    ControlOptions options, const GatherTexts& gather, ControlClient::AbortCallback on_abort) {
  options.job_id = options.rank == 0 ? DrawJobId() : 0;
  WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                        GatherOrFail(gather, absl::StrCat(absl::Hex(options.job_id))));
  if (!absl::SimpleHexAtoi(ids[0], &options.job_id)) {
    return absl::InternalError(absl::StrCat("rank 0 sent no job id but '", ids[0], "'"));
  }
  std::unique_ptr<ControlPlane> plane(new ControlPlane(options));

  absl::StatusOr<std::string> address = "";
  if (options.rank == 0) {
    absl::StatusOr<std::unique_ptr<Coordinator>> coordinator = Coordinator::Listen(options);
    address = AddressOf(coordinator);
    if (coordinator.ok()) plane->coordinator_ = *std::move(coordinator);
  }
  WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> coordinators, GatherOrFail(gather, address));
  options.coordinator_address = coordinators[0];

  address = "";
  if (options.hosts_node_service()) {
    absl::StatusOr<std::unique_ptr<NodeService>> service = NodeService::Listen(options);
    address = AddressOf(service);
    if (service.ok()) plane->node_service_ = *std::move(service);
  }
  WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> services, GatherOrFail(gather, address));
  options.node_address = services[options.first_rank_of(options.node())];
  plane->options_ = options;

  JobBoard* const board = options.rank == 0 ? &plane->coordinator_->board() : nullptr;
  absl::StatusOr<std::unique_ptr<ControlClient>> client =
      ControlClient::Connect(options, board, std::move(on_abort));
  WEFT_RETURN_IF_ERROR(
      GatherOrFail(gather, client.ok() ? absl::StatusOr<std::string>("") : client.status())
          .status());
  plane->client_ = *std::move(client);
  return plane;
}

absl::Status ControlPlane::Leave() {
  absl::Status status = client_->Leave();
  if (node_service_ != nullptr) status.Update(node_service_->Shutdown());
  if (coordinator_ != nullptr) status.Update(coordinator_->Shutdown());
  return status;
}

}  // namespace weft
