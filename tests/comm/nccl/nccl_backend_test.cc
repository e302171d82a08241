// What is special about groups over NCCL, on an emulated one: collectives that are only enqueued,
// and everything that can go wrong with them after their call has returned.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "base/status_macros.h"
#include "tensor/device/buffer.h"
#include "tests/comm/nccl/nccl_ranks.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/cuda_emulator/emulated_nccl.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// Long enough for all to come on a busy machine, short enough to wait for.
constexpr absl::Duration kHasty = absl::Milliseconds(500);

bool Says(const absl::Status& status, const std::string& words) {
  return absl::StrContains(std::string(status.message()), words);
}

std::vector<RankId> AllRanks(const Backend& backend) {
  std::vector<RankId> ranks;
  ranks.reserve(static_cast<size_t>(backend.world_size()));
  for (int rank = 0; rank < backend.world_size(); ++rank) ranks.push_back(RankId{rank});
  return ranks;
}

absl::StatusOr<std::unique_ptr<Communicator>> ConnectWorld(Backend& backend,
                                                           const std::string& name = "world") {
  return backend.Connect(name, AllRanks(backend), absl::Seconds(60));
}

// A rank with a stream.
struct Place {
  NcclRank& nccl;
  std::unique_ptr<Stream> stream;

  Buffer NewBuffer() { return Buffer(nccl.memory()); }
  TensorView Put(Buffer& buffer, const std::vector<float>& values) {
    const TensorView view = buffer.Ensure<float>({std::ssize(values)});
    nccl.memory().FromHost(View(values.data(), {std::ssize(values)}), view);
    return view;
  }
  std::vector<float> Get(const TensorView& view) {
    std::vector<float> values(static_cast<size_t>(view.elements()));
    nccl.memory().ToHost(view, View(values.data(), {view.elements()}));
    return values;
  }
};

class NcclBackendTest : public testing::Test {
 protected:
  void Run(int world_size, const std::function<absl::Status(Place& place)>& fn,
           const NcclOptions& options = {}) {
    cuda_emulator::SetDevices(world_size);
    const absl::Status status = SpawnRanks(
        world_size,
        [&](Backend& backend) {
          auto& nccl = static_cast<NcclRank&>(backend);
          Place place{nccl, nccl.device().MakeStream({.name = "inter"})};
          return fn(place);
        },
        [&](std::unique_ptr<Backend> host) {
          return std::make_unique<NcclRank>(std::move(host), options);
        });
    EXPECT_TRUE(status.ok()) << status;
  }
  void TearDown() override {
    cuda_emulator::SetNccl(true);
    cuda_emulator::SetDevices(1);
  }
};

// The first rank has made its call and gone on before the other has made its.
TEST_F(NcclBackendTest, InsideAWorkACollectiveIsOnlyEnqueued) {
  Run(2, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(place.nccl));
    WEFT_ASSIGN_OR_RETURN(auto gate, ConnectWorld(place.nccl, "gate"));
    Buffer buffer = place.NewBuffer();
    const auto mine = static_cast<float>(1 + place.nccl.rank());
    const TensorView data = place.Put(buffer, {mine, 10 * mine});
    if (place.nccl.rank() == 1) WEFT_RETURN_IF_ERROR(gate->Barrier());
    absl::Status called;
    WEFT_RETURN_IF_ERROR(place.stream->Enqueue([&] {
      called = comm->AllReduce(data, ReduceOp::kSum);
      return called;
    }));
    absl::Notification issued;
    WEFT_RETURN_IF_ERROR(place.stream->Enqueue([&] {
      issued.Notify();
      return absl::OkStatus();
    }));
    issued.WaitForNotification();
    if (place.nccl.rank() == 0) WEFT_RETURN_IF_ERROR(gate->Barrier());
    WEFT_RETURN_IF_ERROR(place.stream->Synchronize());
    EXPECT_TRUE(called.ok()) << called;
    EXPECT_EQ(place.Get(data), (std::vector<float>{3, 30}));
    return comm->Health();
  });
}

TEST_F(NcclBackendTest, HalfPrecisionIsSummed) {
  Run(4, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(place.nccl));
    Buffer buffer = place.NewBuffer();
    const std::vector<uint16_t> ones(3, 0x3f80);  // 1.0
    const TensorView data{buffer.Ensure<float>({2}).data, DType::kBF16, {3}};
    place.nccl.memory().FromHost({ones.data(), DType::kBF16, {3}}, data);
    WEFT_RETURN_IF_ERROR(comm->AllReduce(data, ReduceOp::kSum));
    std::vector<uint16_t> sums(3);
    place.nccl.memory().ToHost(data, {sums.data(), DType::kBF16, {3}});
    EXPECT_EQ(sums, std::vector<uint16_t>(3, 0x4080));  // 4.0
    return absl::OkStatus();
  });
}

TEST_F(NcclBackendTest, WhoDoesNotComeIsNamedAfterTheCallHasReturned) {
  std::atomic<int> told{0};
  const NcclOptions options{.on_failure = [&](const absl::Status& status) {
    ++told;
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  }};
  const auto run = [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    WEFT_ASSIGN_OR_RETURN(auto hasty, place.nccl.Connect("hasty", AllRanks(place.nccl), kHasty));
    if (place.nccl.rank() != 2) {
      Buffer buffer = place.NewBuffer();
      const TensorView data = place.Put(buffer, {1, 2, 3});
      WEFT_RETURN_IF_ERROR(
          place.stream->Enqueue([&] { return hasty->AllReduce(data, ReduceOp::kSum); }));
      WEFT_RETURN_IF_ERROR(place.stream->Synchronize());
      const absl::Status health = hasty->Health();
      EXPECT_TRUE(absl::IsDeadlineExceeded(health)) << health;
      EXPECT_TRUE(Says(health, "group \"hasty\", AllReduce: NCCL has not done it within 500ms"))
          << health;
      EXPECT_TRUE(Says(health, "rank 2 has not arrived")) << health;
      // The first error stays, on the device and on the host.
      EXPECT_EQ(hasty->AllReduce(data, ReduceOp::kSum), health);
      EXPECT_EQ(hasty->Barrier(), health);
    }
    EXPECT_TRUE(world->Health().ok());
    return world->Barrier();
  };
  Run(3, run, options);
  EXPECT_EQ(told, 2);
}

// Each waits for the other in the other's second collective: nobody is missing.
TEST_F(NcclBackendTest, TwoOrdersOnTwoRanksEndAtTheDeadline) {
  Run(2, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    WEFT_ASSIGN_OR_RETURN(auto a, place.nccl.Connect("a", AllRanks(place.nccl), kHasty));
    WEFT_ASSIGN_OR_RETURN(auto b, place.nccl.Connect("b", AllRanks(place.nccl), kHasty));
    Communicator& first = place.nccl.rank() == 0 ? *a : *b;
    Communicator& second = place.nccl.rank() == 0 ? *b : *a;
    Buffer one = place.NewBuffer(), two = place.NewBuffer();
    const TensorView x = place.Put(one, {1}), y = place.Put(two, {2});
    WEFT_RETURN_IF_ERROR(place.stream->Enqueue([&] { return first.AllReduce(x, ReduceOp::kSum); }));
    WEFT_RETURN_IF_ERROR(
        place.stream->Enqueue([&] { return second.AllReduce(y, ReduceOp::kSum); }));
    WEFT_RETURN_IF_ERROR(place.stream->Synchronize());
    EXPECT_TRUE(absl::IsDeadlineExceeded(first.Health())) << first.Health();
    return world->Barrier();
  });
}

TEST_F(NcclBackendTest, AbortFromAnotherThreadFreesWhoWaitsForTheDevice) {
  Run(2, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    WEFT_ASSIGN_OR_RETURN(auto doomed, ConnectWorld(place.nccl, "doomed"));
    if (place.nccl.rank() == 0) {
      Buffer buffer = place.NewBuffer();
      const TensorView data = place.Put(buffer, {1, 2, 3});
      absl::Notification issued;
      std::thread aborter([&] {
        issued.WaitForNotification();
        doomed->Abort(absl::UnavailableError("node b is gone"));
      });
      WEFT_RETURN_IF_ERROR(place.stream->Enqueue([&] {
        absl::Status status = doomed->AllReduce(data, ReduceOp::kSum);
        issued.Notify();
        return status;
      }));
      WEFT_RETURN_IF_ERROR(place.stream->Synchronize());
      aborter.join();
      const absl::Status outside = doomed->AllReduce(data, ReduceOp::kSum);
      for (const absl::Status& status : {doomed->Health(), outside}) {
        EXPECT_TRUE(absl::IsAborted(status)) << status;
        EXPECT_TRUE(Says(status, "group \"doomed\"")) << status;
        EXPECT_TRUE(Says(status, "node b is gone")) << status;
      }
    }
    return world->Barrier();
  });
}

TEST_F(NcclBackendTest, WhatNcclFindsOutByItselfIsTold) {
  std::atomic<int> told{0};
  const NcclOptions options{.on_failure = [&](const absl::Status&) { ++told; }};
  const auto run = [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    WEFT_ASSIGN_OR_RETURN(auto idle, ConnectWorld(place.nccl, "idle"));
    WEFT_ASSIGN_OR_RETURN(auto busy, ConnectWorld(place.nccl, "busy"));
    if (place.nccl.rank() == 0) {
      Buffer buffer = place.NewBuffer();
      const TensorView data = place.Put(buffer, {1, 2, 3});
      WEFT_RETURN_IF_ERROR(place.stream->Enqueue([&] {
        absl::Status status = busy->AllReduce(data, ReduceOp::kSum);
        cuda_emulator::LoseNcclPeers();
        return status;
      }));
      WEFT_RETURN_IF_ERROR(place.stream->Synchronize());  // the watchdog ends it
    }
    WEFT_RETURN_IF_ERROR(world->Barrier());
    for (const Communicator* comm : {busy.get(), idle.get()}) {
      EXPECT_TRUE(absl::IsUnavailable(comm->Health())) << comm->Health();
      EXPECT_TRUE(Says(comm->Health(), "remote error (a peer is gone)")) << comm->Health();
    }
    return absl::OkStatus();
  };
  Run(2, run, options);
  EXPECT_EQ(told, 1);  // who asks for the health knows
}

TEST_F(NcclBackendTest, GroupsThatDoNotFitAreAnErrorOnAllRanks) {
  Run(3, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    const int me = place.nccl.rank();
    std::vector<RankId> mine = AllRanks(place.nccl);
    if (me == 2) mine = {RankId{2}};
    const absl::Status status = place.nccl.Connect("torn", mine, kHasty).status();
    if (me == 2) {
      EXPECT_TRUE(absl::IsAborted(status)) << status;
      EXPECT_TRUE(Says(status, "group \"torn\": rank 0 could not connect")) << status;
    } else {
      EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
      EXPECT_TRUE(Says(status, "rank 2 has not arrived within 500ms")) << status;
    }
    // The world can still be split.
    WEFT_ASSIGN_OR_RETURN(auto whole, ConnectWorld(place.nccl, "whole"));
    return whole->Barrier();
  });
}

TEST_F(NcclBackendTest, SizesThatDisagreeAreSeenByTheEmulator) {
  Run(2, [](Place& place) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
    const auto expect_error = [&](const std::function<absl::Status(Communicator&)>& call) {
      auto comm = ConnectWorld(place.nccl, "uneven");
      ASSERT_TRUE(comm.ok()) << comm.status();
      EXPECT_TRUE(absl::IsInternal(call(**comm)));
      EXPECT_TRUE(world->Barrier().ok());
    };
    const bool first = place.nccl.rank() == 0;
    Buffer buffer = place.NewBuffer();
    const TensorView data = place.Put(buffer, std::vector<float>(8));
    expect_error([&](Communicator& comm) {
      return comm.AllReduce(View(buffer.as<float>(), {first ? 8 : 4}), ReduceOp::kSum);
    });
    expect_error([&](Communicator& comm) {
      return comm.AllReduce(data, first ? ReduceOp::kSum : ReduceOp::kMax);
    });
    expect_error([&](Communicator& comm) { return comm.Broadcast(data, first ? 0 : 1); });
    expect_error([&](Communicator& comm) {
      const std::vector<int64_t> to_other = {first ? 0 : 3, first ? 2 : 0};
      const std::vector<int64_t> from_other = {first ? 0 : 1, first ? 3 : 0};
      Buffer into = place.NewBuffer();
      return comm.AllToAllV({.send = View(buffer.as<float>(), {8, 1}),
                             .send_rows = to_other,
                             .recv = into.Ensure<float>({8, 1}),
                             .recv_rows = from_other});
    });
    return world->Barrier();
  });
}

TEST_F(NcclBackendTest, RanksThatShareADeviceAreRefused) {
  cuda_emulator::SetDevices(1);
  const absl::Status status = SpawnRanks(2, [](Backend& host) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(const auto device, MakeCudaDevice(0));
    WEFT_ASSIGN_OR_RETURN(const auto nccl, MakeNcclBackend(host, *device, {}));
    const absl::Status refused = ConnectWorld(*nccl).status();
    EXPECT_TRUE(absl::IsInternal(refused)) << refused;
    EXPECT_TRUE(Says(refused, "two ranks share a device")) << refused;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(NcclBackendTest, TheLimitOfBlocksReachesNccl) {
  for (const int limit : {0, 4}) {
    Run(2,
        [&](Place& place) -> absl::Status {
          WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
          Buffer buffer = place.NewBuffer();
          const TensorView data = place.Put(buffer, {1});
          EXPECT_EQ(place.nccl.sm_limits(), (std::vector<int32_t>{8, 16}));
          float sum = 1;
          // The limits of a plan, and back.
          for (const int32_t plans : {0, 16, 8, 0}) {
            place.nccl.LimitSms(plans);
            WEFT_RETURN_IF_ERROR(world->AllReduce(data, ReduceOp::kSum));
            EXPECT_EQ(place.Get(data), std::vector<float>{sum *= 2});
            EXPECT_EQ(cuda_emulator::NcclMaxCtas(), plans == 0 ? limit : plans);
            WEFT_RETURN_IF_ERROR(world->Barrier());
          }
          return world->Health();
        },
        {.max_ctas = limit, .sm_limits = {8, 16}});
  }
}

// Of one limit or another: a group has failed as a whole.
TEST_F(NcclBackendTest, AGroupThatHasFailedHasFailedUnderEveryLimit) {
  Run(1,
      [&](Place& place) -> absl::Status {
        WEFT_ASSIGN_OR_RETURN(auto world, ConnectWorld(place.nccl));
        Buffer buffer = place.NewBuffer();
        const TensorView data = place.Put(buffer, {1});
        place.nccl.LimitSms(8);
        place.nccl.Abort(absl::InternalError("enough"));
        for (const int32_t limit : {8, 0}) {
          place.nccl.LimitSms(limit);
          EXPECT_TRUE(Says(world->AllReduce(data, ReduceOp::kSum), "enough"));
        }
        return absl::OkStatus();
      },
      {.sm_limits = {8}});
}

TEST_F(NcclBackendTest, WithoutTheLibraryTheReasonIsSaid) {
  const auto device = MakeCudaDevice(0);
  ASSERT_TRUE(device.ok()) << device.status();
  const absl::Status status = SpawnRanks(1, [&](Backend& host) {
    EXPECT_TRUE(FindNccl().ok());
    const auto cpu = MakeCpuDevice();
    EXPECT_EQ(MakeNcclBackend(host, *cpu, {}).status(),
              absl::InvalidArgumentError("NCCL needs a CUDA device, not the CPU"));
    cuda_emulator::SetNccl(false);
    const auto missing =
        absl::UnavailableError("no NCCL: cannot open its library: the emulator has none");
    EXPECT_EQ(FindNccl(), missing);
    EXPECT_EQ(MakeNcclBackend(host, **device, {}).status(), missing);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace weft
