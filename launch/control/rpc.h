#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

// The few lines every gRPC server and client of Weft shares: message limits, deadlines by the
// monotonic clock, no proxies, no port sharing, health and reflection, and gRPC's words turned into
// absl::Status and back.

namespace grpc {
class Channel;
class ClientContext;
class Server;
class Service;
class Status;
}  // namespace grpc

namespace weft {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// What a service method returns for a board's answer. Instantiated where grpcpp is included.
template <typename Response, typename GrpcStatus = grpc::Status>
GrpcStatus AnswerWith(absl::StatusOr<Response> result, Response* response) {
  const auto status = result.status();
  if (result.ok()) *response = *std::move(result);
  return ToGrpc(status);
}

// A plaintext channel of its own connection; connecting is retried in the background at intervals
// up to `max_backoff`. Does not block.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, absl::Duration max_backoff);

// REQUIRES: before the call the context is used for.
void SetTimeout(grpc::ClientContext& context, absl::Duration timeout);

// A gRPC server of one service with the standard health service and reflection. Refuses messages
// above 1 MiB.
class RpcServer {
 public:
  // Listens on host:port, port 0 being any free one. kUnavailable when that cannot be had.
  // `service` must outlive it.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Listen(const std::string& host, int32_t port,
                                                           grpc::Service* service);
  ~RpcServer();  // Shutdown(zero)

  const std::string& address() const { return address_; }  // "host:port" as bound

  // Answers NOT_SERVING, refuses new calls, waits at most `grace` for running ones, then cancels
  // them. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address);

  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace weft
