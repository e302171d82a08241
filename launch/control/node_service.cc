#include "launch/control/node_service.h"

#include <grpcpp/grpcpp.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "launch/control/beat.h"
#include "launch/control/node_board.h"
#include "launch/control/rpc.h"
#include "weft/v1/control.grpc.pb.h"
#include "weft/v1/node.grpc.pb.h"

namespace weft {
namespace {

class Service final : public v1::Node::Service {
 public:
  Service(NodeBoard& board, Beat& beat) : board_(board), beat_(beat) {}

  grpc::Status RankHeartbeat(grpc::ServerContext*, const v1::RankHeartbeatRequest* request,
                             v1::RankHeartbeatResponse* response) override {
    grpc::Status status = AnswerWith(board_.Hear(*request), response);
    if (request->has_failure()) beat_.Wake();  // bad news travels at once
    return status;
  }
  grpc::Status FetchPlan(grpc::ServerContext*, const v1::FetchPlanRequest* request,
                         v1::FetchPlanResponse* response) override {
    return AnswerWith(board_.Fetch(*request), response);
  }

 private:
  NodeBoard& board_;
  Beat& beat_;
};

}  // namespace

struct NodeService::Upstream {
  explicit Upstream(const ControlOptions& options)
      : stub(
            v1::Coordinator::NewStub(MakeChannel(options.coordinator_address, options.heartbeat))) {
  }

  std::unique_ptr<v1::Coordinator::Stub> stub;
};

NodeService::NodeService(const ControlOptions& options)
    : options_(options),
      board_(std::make_unique<NodeBoard>(options)),
      upstream_(std::make_unique<Upstream>(options)),
      beat_(std::make_unique<Beat>(options.heartbeat,
                                   [this] { Report(/*leaving=*/false).IgnoreError(); })),
      service_(std::make_unique<Service>(*board_, *beat_)) {}

NodeService::~NodeService() = default;

absl::StatusOr<std::unique_ptr<NodeService>> NodeService::Listen(const ControlOptions& options) {
  WEFT_ASSIGN_OR_RETURN(const std::string address, ListenAddressOf(options));
  WEFT_CHECK(options.hosts_node_service(), "the first rank of a node hosts its service");
  std::unique_ptr<NodeService> node(new NodeService(options));
  WEFT_ASSIGN_OR_RETURN(node->server_, RpcServer::Listen(address, 0, node->service_.get()));
  return node;
}

const std::string& NodeService::address() const { return server_->address(); }

absl::Status NodeService::Report(bool leaving) {
  const v1::NodeHeartbeatRequest report = board_->MakeReport(leaving);
  v1::NodeHeartbeatResponse answer;
  {
    grpc::ClientContext context;
    SetTimeout(context, options_.call_timeout());
    const absl::Status status = FromGrpc(upstream_->stub->NodeHeartbeat(&context, report, &answer));
    if (!status.ok()) {
      board_->RecordNoAnswer(status);
      return WithContext(status, absl::StrCat("heartbeat of node ", options_.node()));
    }
  }
  const std::optional<int64_t> epoch = board_->Absorb(answer);
  if (!epoch.has_value()) return absl::OkStatus();

  v1::FetchPlanRequest request;
  request.set_job_id(options_.job_id);
  request.set_epoch(*epoch);
  v1::FetchPlanResponse plan;
  grpc::ClientContext context;
  SetTimeout(context, options_.call_timeout());
  absl::Status fetched = FromGrpc(upstream_->stub->FetchPlan(&context, request, &plan));
  if (fetched.ok()) fetched = board_->PutPlan(plan);
  // The job goes on under its present plan, and the next beat tries again.
  if (!fetched.ok()) {
    LogWarning(absl::StrCat("node ", options_.node(), " could not take plan epoch ", *epoch, ": ",
                            std::string(fetched.message())));
  }
  return absl::OkStatus();
}

absl::Status NodeService::Shutdown() {
  absl::Status status = board_->AwaitEnd(options_.deadline);
  beat_->Stop();
  const absl::Status taken_leave = Report(/*leaving=*/true);
  if (!board_->failed()) status.Update(taken_leave);  // a failed job's coordinator may be gone
  server_->Shutdown(options_.call_timeout());
  return status;
}

}  // namespace weft
