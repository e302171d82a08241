// What strangers and people meet at the sockets of a live job: standard services, refusals,
// requests.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "absl/base/config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "launch/control/rpc.h"
#include "tests/launch/control/control_job.h"
#include "weft/v1/control.grpc.pb.h"
#include "weft/v1/node.grpc.pb.h"

#ifdef ABSL_HAVE_THREAD_SANITIZER
// The health service runs in a libgrpc++ that is not instrumented, through templates that are.
extern "C" const char* __tsan_default_suppressions() { return "race:grpc::internal::\n"; }
#endif

namespace weft {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

ControlOptions Options(int32_t ranks, int32_t ranks_per_node) {
  ControlOptions options;
  options.world_size = ranks;
  options.ranks_per_node = ranks_per_node;
  options.heartbeat = absl::Milliseconds(20);
  options.deadline = absl::Seconds(40);
  return options;
}

// Sends one message of raw bytes to any method and returns the first answer's.
absl::StatusOr<std::string> CallRaw(const std::string& address, const std::string& method,
                                    const std::string& bytes) {
  grpc::GenericStub stub(MakeChannel(address, kTimeout));
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  grpc::CompletionQueue queue;
  const auto finish_step = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  finish_step();
  grpc::Slice slice(bytes);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  finish_step();
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  const bool answered = finish_step();
  grpc::Status status;
  call->Finish(&status, nullptr);
  finish_step();
  queue.Shutdown();
  if (!status.ok()) return FromGrpc(status);
  if (!answered) return absl::InternalError("no answer");
  std::vector<grpc::Slice> slices;
  answer.Dump(&slices);
  std::string text;
  for (const grpc::Slice& part : slices) text.append(part.begin(), part.end());
  return text;
}

TEST(ControlWireTest, HealthAnswersServingOnEveryServer) {
  ControlJob job(Options(2, 1));
  const std::string serving("\x08\x01", 2);  // grpc.health.v1.HealthCheckResponse{status: SERVING}
  for (const std::string& address :
       {job.options(0).coordinator_address, job.options(1).node_address}) {
    const auto answer = CallRaw(address, "/grpc.health.v1.Health/Check", "");
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, serving);
  }
  EXPECT_EQ(
      CallRaw(job.options(0).coordinator_address, "/weft.v1.Coordinator/Dance", "").status().code(),
      absl::StatusCode::kUnimplemented);
  job.LeaveAll();
}

TEST(ControlWireTest, ReflectionListsTheService) {
  ControlJob job(Options(1, 1));
  const auto answer = CallRaw(job.options(0).coordinator_address,
                              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                              std::string("\x3a\x00", 2));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(absl::StrContains(*answer, "weft.v1.Coordinator"));
  job.LeaveAll();
}

class OneJobTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const absl::Status& status : job_.LeaveAll()) EXPECT_TRUE(status.ok()) << status;
    for (const int32_t rank : {0, 1}) EXPECT_EQ(job_.aborts(rank).count(), 0);
  }

  template <typename Stub, typename Request, typename Response>
  absl::Status Call(Stub& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    SetTimeout(context, kTimeout);
    return FromGrpc((stub.*method)(&context, request, response));
  }

  using CoordinatorStub = v1::Coordinator::Stub;
  using NodeStub = v1::Node::Stub;

  ControlJob job_{Options(2, 2)};
  std::unique_ptr<CoordinatorStub> coordinator_ =
      v1::Coordinator::NewStub(MakeChannel(job_.options(0).coordinator_address, kTimeout));
  std::unique_ptr<NodeStub> node_ =
      v1::Node::NewStub(MakeChannel(job_.options(1).node_address, kTimeout));
};

TEST_F(OneJobTest, StopAndCheckpointReachRankZeroOnce) {
  v1::StopResponse stopped;
  JobStatus status;
  status.step = 5;
  job_.client(0).Publish(status);
  ASSERT_TRUE(Call(*coordinator_, &CoordinatorStub::Stop, v1::StopRequest(), &stopped).ok());
  EXPECT_EQ(stopped.step(), 5);
  EXPECT_FALSE(job_.client(1).TakeRequests().stop);
  ControlRequests requests = job_.client(0).TakeRequests();
  EXPECT_TRUE(requests.stop);
  EXPECT_FALSE(requests.checkpoint);
  v1::CheckpointResponse written;
  ASSERT_TRUE(
      Call(*coordinator_, &CoordinatorStub::Checkpoint, v1::CheckpointRequest(), &written).ok());
  requests = job_.client(0).TakeRequests();
  EXPECT_FALSE(requests.stop);
  EXPECT_TRUE(requests.checkpoint);
  EXPECT_FALSE(job_.client(0).TakeRequests().checkpoint);
}

TEST_F(OneJobTest, HeartbeatsCarryEveryRanksStep) {
  for (const int32_t rank : {0, 1}) {
    JobStatus status;
    status.step = 10 + rank;
    status.plan_epoch = 3;
    job_.client(rank).Publish(status);
  }
  AwaitTrue("steps of both ranks", [&] {
    v1::GetStatusResponse status;
    const absl::Status called =
        Call(*coordinator_, &CoordinatorStub::GetStatus, v1::GetStatusRequest(), &status);
    EXPECT_TRUE(called.ok()) << called;
    return status.ranks_size() == 2 && status.ranks(0).step() == 10 &&
           status.ranks(1).step() == 11 && status.ranks(1).prepared_epoch() == 3;
  });
}

TEST_F(OneJobTest, RefusesAHugeMessage) {
  v1::NodeHeartbeatRequest request;
  request.mutable_failure()->set_message(std::string(2 << 20, 'x'));
  v1::NodeHeartbeatResponse response;
  const absl::Status status =
      Call(*coordinator_, &CoordinatorStub::NodeHeartbeat, request, &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST_F(OneJobTest, RefusesGarbage) {
  const absl::Status status =
      CallRaw(job_.options(0).coordinator_address, "/weft.v1.Coordinator/NodeHeartbeat",
              std::string("\xff\xff\xff\xff", 4))
          .status();
  EXPECT_FALSE(status.ok());
}

TEST_F(OneJobTest, RefusesAWrongRankAndAnotherJob) {
  v1::RankHeartbeatRequest request;
  request.set_job_id(job_.options(0).job_id);
  request.mutable_state()->mutable_member()->set_rank(9);
  v1::RankHeartbeatResponse response;
  absl::Status status = Call(*node_, &NodeStub::RankHeartbeat, request, &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "rank 9 is not one of 0..1");

  request.mutable_state()->mutable_member()->set_rank(1);
  request.mutable_state()->mutable_member()->set_host("elsewhere");
  status = Call(*node_, &NodeStub::RankHeartbeat, request, &response);
  EXPECT_TRUE(absl::StrContains(status.message(), "in its name is refused")) << status;

  request.set_job_id(request.job_id() + 1);
  request.mutable_failure()->set_message("a lie");
  status = Call(*node_, &NodeStub::RankHeartbeat, request, &response);
  EXPECT_TRUE(absl::StrContains(status.message(), "the message is for job")) << status;
}

TEST_F(OneJobTest, RefusesAStaleEpoch) {
  v1::FetchPlanRequest request;
  request.set_job_id(job_.options(0).job_id);
  request.set_epoch(1);
  v1::FetchPlanResponse response;
  EXPECT_EQ(Call(*coordinator_, &CoordinatorStub::FetchPlan, request, &response).message(),
            "no plan has been proposed yet");
  ASSERT_TRUE(job_.client(0).Propose({2, "plan", Fingerprint("plan")}).ok());
  EXPECT_EQ(Call(*coordinator_, &CoordinatorStub::FetchPlan, request, &response).message(),
            "plan epoch 1 is not on offer; the newest is epoch 2");
}

TEST_F(OneJobTest, ARankOfAnotherJobCannotJoin) {
  ControlOptions options = job_.options(1);
  options.job_id += 1;
  const auto stranger = ControlClient::Connect(options, nullptr, [](const absl::Status&) {});
  EXPECT_TRUE(absl::StartsWith(stranger.status().message(), "rank 1 cannot join node 0 at "))
      << stranger.status();
}

// A node service that sends a plan with flipped bytes first.
class LyingNode final : public v1::Node::Service {
 public:
  grpc::Status RankHeartbeat(grpc::ServerContext*, const v1::RankHeartbeatRequest*,
                             v1::RankHeartbeatResponse* response) override {
    response->set_newest_epoch(1);
    return grpc::Status::OK;
  }
  grpc::Status FetchPlan(grpc::ServerContext*, const v1::FetchPlanRequest*,
                         v1::FetchPlanResponse* response) override {
    response->set_epoch(1);
    response->set_json(++fetches_ == 1 ? "plaN" : "plan");
    response->set_fingerprint(Fingerprint("plan"));
    return grpc::Status::OK;
  }
  int fetches() const { return fetches_; }

 private:
  std::atomic<int> fetches_ = 0;
};

TEST(LyingNodeTest, AClientFetchesAPlanAgainWhoseFingerprintIsWrong) {
  LyingNode lying;
  const auto server = RpcServer::Listen("127.0.0.1", 0, &lying);
  ASSERT_TRUE(server.ok()) << server.status();
  ControlOptions options = Options(2, 1);
  options.rank = 1;
  options.node_address = (*server)->address();
  const auto client = ControlClient::Connect(options, nullptr, [](const absl::Status&) {});
  ASSERT_TRUE(client.ok()) << client.status();
  std::optional<ProposedPlan> taken;
  AwaitTrue("the plan", [&] {
    taken = (*client)->TakeProposal();
    return taken.has_value();
  });
  EXPECT_EQ(taken->json, "plan");
  EXPECT_GE(lying.fetches(), 2);
  EXPECT_TRUE((*client)->Leave().ok());
}

}  // namespace
}  // namespace weft
