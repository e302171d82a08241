#include "launch/control/coordinator.h"

#include <grpcpp/grpcpp.h>

#include "base/status_macros.h"
#include "launch/control/job_board.h"
#include "launch/control/rpc.h"
#include "launch/control/run_files.h"
#include "weft/v1/control.grpc.pb.h"

namespace weft {
namespace {

class Service final : public v1::Coordinator::Service {
 public:
  explicit Service(JobBoard& board) : board_(board) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest* request,
                         v1::GetStatusResponse* response) override {
    return AnswerWith(board_.GetStatus(*request), response);
  }
  grpc::Status GetPlan(grpc::ServerContext*, const v1::GetPlanRequest* request,
                       v1::GetPlanResponse* response) override {
    return AnswerWith(board_.GetPlan(*request), response);
  }
  grpc::Status Stop(grpc::ServerContext*, const v1::StopRequest* request,
                    v1::StopResponse* response) override {
    return AnswerWith(board_.Stop(*request), response);
  }
  grpc::Status Checkpoint(grpc::ServerContext*, const v1::CheckpointRequest* request,
                          v1::CheckpointResponse* response) override {
    return AnswerWith(board_.Checkpoint(*request), response);
  }
  grpc::Status NodeHeartbeat(grpc::ServerContext*, const v1::NodeHeartbeatRequest* request,
                             v1::NodeHeartbeatResponse* response) override {
    return AnswerWith(board_.Hear(*request), response);
  }
  grpc::Status FetchPlan(grpc::ServerContext*, const v1::FetchPlanRequest* request,
                         v1::FetchPlanResponse* response) override {
    return AnswerWith(board_.Fetch(*request), response);
  }

 private:
  JobBoard& board_;
};

}  // namespace

Coordinator::Coordinator(const ControlOptions& options)
    : options_(options),
      board_(std::make_unique<JobBoard>(options)),
      service_(std::make_unique<Service>(*board_)) {}

Coordinator::~Coordinator() = default;

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Listen(const ControlOptions& options) {
  WEFT_ASSIGN_OR_RETURN(const std::string address, ListenAddressOf(options));
  std::unique_ptr<Coordinator> coordinator(new Coordinator(options));
  WEFT_ASSIGN_OR_RETURN(coordinator->server_,
                        RpcServer::Listen(address, options.port, coordinator->service_.get()));
  if (!options.run_directory.empty()) {
    RemoveOutcomeFiles(options.run_directory);
    WEFT_RETURN_IF_ERROR(WriteServiceFile(options.run_directory,
                                          MakeServiceFile(coordinator->address(), options.job_id)));
  }
  return coordinator;
}

const std::string& Coordinator::address() const { return server_->address(); }

absl::Status Coordinator::Shutdown() {
  absl::Status ended = board_->AwaitEnd(options_.deadline);
  server_->Shutdown(options_.call_timeout());
  if (!options_.run_directory.empty()) RemoveServiceFile(options_.run_directory);
  return ended;
}

}  // namespace weft
