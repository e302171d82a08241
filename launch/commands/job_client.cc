#include "launch/commands/job_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "launch/control/rpc.h"
#include "launch/control/run_files.h"
#include "weft/v1/control.grpc.pb.h"

namespace weft {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

absl::Status NoJob(const std::string& run_directory, const std::string& why) {
  return absl::NotFoundError(absl::StrCat("no job is running in ", run_directory, " (", why, ")"));
}

}  // namespace

struct JobClient::Wire {
  using Stub = v1::Coordinator::Stub;

  Wire(std::string directory, ServiceFile found)
      : run_directory(std::move(directory)),
        file(std::move(found)),
        stub(v1::Coordinator::NewStub(MakeChannel(file.address, kTimeout))) {}

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*)) {
    Request request;
    request.set_job_id(file.job_id);
    grpc::ClientContext context;
    SetTimeout(context, kTimeout);
    Response response;
    const absl::Status status = FromGrpc((stub.get()->*method)(&context, request, &response));
    if (status.ok()) return response;
    if (absl::IsUnavailable(status)) {
      return NoJob(run_directory,
                   absl::StrCat("nothing answers at ", file.address, "; the job of pid ", file.pid,
                                ", started ", file.started, ", has died"));
    }
    if (absl::IsInvalidArgument(status)) {
      return NoJob(run_directory, absl::StrCat("another job answers at ", file.address));
    }
    return status;
  }

  const std::string run_directory;
  const ServiceFile file;
  const std::unique_ptr<Stub> stub;
};

JobClient::JobClient(std::unique_ptr<Wire> wire) : wire_(std::move(wire)) {}

JobClient::~JobClient() = default;

absl::StatusOr<std::unique_ptr<JobClient>> JobClient::Find(const std::string& run_directory) {
  absl::StatusOr<ServiceFile> file = LoadServiceFile(run_directory);
  if (absl::IsNotFound(file.status())) {
    return NoJob(run_directory, std::string(file.status().message()));
  }
  if (!file.ok()) return file.status();
  return std::unique_ptr<JobClient>(
      new JobClient(std::make_unique<Wire>(run_directory, *std::move(file))));
}

absl::StatusOr<v1::GetStatusResponse> JobClient::GetStatus() {
  return wire_->Call(&Wire::Stub::GetStatus);
}
absl::StatusOr<v1::GetPlanResponse> JobClient::GetPlan() {
  return wire_->Call(&Wire::Stub::GetPlan);
}
absl::StatusOr<v1::StopResponse> JobClient::Stop() { return wire_->Call(&Wire::Stub::Stop); }
absl::StatusOr<v1::CheckpointResponse> JobClient::Checkpoint() {
  return wire_->Call(&Wire::Stub::Checkpoint);
}

}  // namespace weft
