#include "tests/comm/communicator_contract.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/all_reduce.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace weft {

std::vector<RankId> AllRanks(const Backend& backend) {
  std::vector<RankId> ranks;
  ranks.reserve(static_cast<size_t>(backend.world_size()));
  for (int r = 0; r < backend.world_size(); ++r) ranks.push_back(RankId{r});
  return ranks;
}

absl::StatusOr<std::unique_ptr<Communicator>> ConnectWorld(Backend& backend,
                                                           const std::string& name) {
  return backend.Connect(name, AllRanks(backend), absl::Seconds(60));
}

namespace {

constexpr int64_t kElements[] = {0, 1, 3, 1000, 4097, 40001};

// Normal values scaled by 1e-6 .. 1e6, so that another order of additions gives other bits.
template <typename T>
std::vector<T> Contribution(int rank, int64_t elements) {
  const CounterRng rng(7, absl::StrCat("contribution of ", rank));
  std::vector<T> values(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i) {
    const auto index = static_cast<uint64_t>(i);
    const double scale = std::pow(10.0, std::floor(rng.Uniform(index) * 13.0) - 6.0);
    values[static_cast<size_t>(i)] = static_cast<T>(rng.Normal(index) * scale);
  }
  return values;
}

// ((x0 + x1) + x2) + ..., or the maximum, by the plainest code.
template <typename T>
std::vector<T> Reduced(int world, int64_t elements, ReduceOp op) {
  std::vector<T> result = Contribution<T>(0, elements);
  for (int rank = 1; rank < world; ++rank) {
    const std::vector<T> x = Contribution<T>(rank, elements);
    for (size_t i = 0; i < result.size(); ++i) {
      result[i] = op == ReduceOp::kSum ? result[i] + x[i] : std::max(result[i], x[i]);
    }
  }
  return result;
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// kElements and what lies around the last all-reduce of one step (base/all_reduce.h).
std::vector<int64_t> AllReduceElements(int64_t element_bytes, int size) {
  std::vector<int64_t> elements(std::begin(kElements), std::end(kElements));
  if (size == 1) return elements;
  const int64_t last = kOneStepAllReduceBytes / (element_bytes * (size - 1));
  EXPECT_EQ(CostOfAllReduce(last, element_bytes, size).steps, 1);
  EXPECT_EQ(CostOfAllReduce(last + 1, element_bytes, size).steps, 2);
  elements.insert(elements.end(), {last - 1, last, last + 1, last + 2});
  return elements;
}

// Of all contributions, from element `first` on. Sums: bit for bit those of ascending ranks; where
// the communicator promises no order, within what another order of so many additions can make.
template <typename T>
bool IsReduced(const Communicator& comm, const std::vector<T>& data, const std::vector<T>& expected,
               ReduceOp op, int64_t first = 0) {
  if (comm.traits().rank_ordered_sums || op == ReduceOp::kMax || std::is_integral_v<T>)
    return SameBits(data, expected);
  if (data.size() != expected.size()) return false;
  std::vector<double> magnitudes(data.size());
  for (int rank = 0; rank < comm.size(); ++rank) {
    const std::vector<T> x = Contribution<T>(rank, first + std::ssize(data));
    for (size_t i = 0; i < data.size(); ++i)
      magnitudes[i] += std::abs(static_cast<double>(x[static_cast<size_t>(first) + i]));
  }
  const double unit = std::numeric_limits<T>::epsilon() * comm.size();
  for (size_t i = 0; i < data.size(); ++i) {
    const double error = static_cast<double>(data[i]) - static_cast<double>(expected[i]);
    if (!(std::abs(error) <= unit * magnitudes[i])) return false;
  }
  return true;
}

template <typename T>
absl::Status ExpectAllReduce(Communicator& comm, ReduceOp op) {
  for (int64_t elements : AllReduceElements(sizeof(T), comm.size())) {
    std::vector<T> data = Contribution<T>(comm.rank(), elements);
    WEFT_RETURN_IF_ERROR(comm.AllReduce(View(data.data(), {elements}), op));
    EXPECT_TRUE(IsReduced(comm, data, Reduced<T>(comm.size(), elements, op), op))
        << elements << " elements of " << Name(DTypeOf<T>::value);
  }
  return absl::OkStatus();
}

// The byte that rank `rank` puts at place i of what it sends to `peer`.
uint8_t Pattern(int rank, int peer, int64_t i) {
  return static_cast<uint8_t>(31 * rank + 17 * peer + 7 * i + 1);
}

using RowMatrix = std::vector<std::vector<int64_t>>;  // [sender][receiver]

RowMatrix Rows(int world, const std::function<int64_t(int from, int to)>& rows) {
  RowMatrix matrix(static_cast<size_t>(world), std::vector<int64_t>(static_cast<size_t>(world)));
  for (int from = 0; from < world; ++from) {
    for (int to = 0; to < world; ++to) {
      matrix[static_cast<size_t>(from)][static_cast<size_t>(to)] = rows(from, to);
    }
  }
  return matrix;
}

// Ordinary, skewed and empty exchanges of every kind.
std::vector<RowMatrix> RowCases(int world) {
  return {
      Rows(world, [](int, int) { return 3; }),
      Rows(world, [](int from, int to) { return from * 5 + to; }),
      Rows(world, [](int, int to) { return to == 0 ? 0 : 4; }),  // nothing for one
      Rows(world,
           [world](int from, int) { return from == world - 1 ? 0 : 2; }),  // nothing from one
      Rows(world, [](int from, int to) { return from == to ? 6 : 0; }),    // own rows only
      Rows(world, [](int, int to) { return to == 0 ? 700 : 0; }),          // all to one
      Rows(world, [](int, int) { return 0; }),
  };
}

absl::Status ExpectAllToAllV(Communicator& comm, DType dtype, const RowMatrix& rows) {
  constexpr int64_t kWidth = 5;
  constexpr int64_t kSpareRows = 2;  // buffers may be larger than the sums
  constexpr uint8_t kUntouched = 0xEE;
  const int64_t row_bytes = kWidth * SizeOf(dtype);
  const auto me = static_cast<size_t>(comm.rank());
  const std::vector<int64_t>& send_rows = rows[me];
  std::vector<int64_t> recv_rows;
  std::vector<uint8_t> send;
  std::vector<uint8_t> expected;
  for (int peer = 0; peer < comm.size(); ++peer) {
    const auto p = static_cast<size_t>(peer);
    recv_rows.push_back(rows[p][me]);
    for (int64_t i = 0; i < send_rows[p] * row_bytes; ++i) {
      send.push_back(Pattern(comm.rank(), peer, i));
    }
    for (int64_t i = 0; i < recv_rows[p] * row_bytes; ++i) {
      expected.push_back(Pattern(peer, comm.rank(), i));
    }
  }
  const int64_t send_total = std::ssize(send) / row_bytes + kSpareRows;
  const int64_t recv_total = std::ssize(expected) / row_bytes + kSpareRows;
  send.resize(static_cast<size_t>(send_total * row_bytes));
  expected.resize(static_cast<size_t>(recv_total * row_bytes), kUntouched);
  std::vector<uint8_t> recv(expected.size(), kUntouched);

  AllToAllVArgs args;
  args.send = {send.data(), dtype, {send_total, kWidth}};
  args.send_rows = send_rows;
  args.recv = {recv.data(), dtype, {recv_total, kWidth}};
  args.recv_rows = recv_rows;
  WEFT_RETURN_IF_ERROR(comm.AllToAllV(args));
  EXPECT_EQ(recv, expected) << Name(dtype);
  return absl::OkStatus();
}

// Row counts of the V operations with one number a member.
std::vector<std::vector<int64_t>> BlockCases(int world) {
  std::vector<std::vector<int64_t>> cases;
  const auto add = [&](const std::function<int64_t(int)>& rows) {
    cases.emplace_back();
    for (int member = 0; member < world; ++member) cases.back().push_back(rows(member));
  };
  add([](int) { return 2; });
  add([](int member) { return 1 + 3 * member; });
  add([](int member) { return member == 0 ? 0 : 5; });
  add([](int member) { return member == 0 ? 900 : 0; });
  add([](int) { return 0; });
  return cases;
}

constexpr DType kAllDTypes[] = {DType::kF32, DType::kBF16, DType::kF64,
                                DType::kI32, DType::kI64,  DType::kU8};

TEST_P(CommunicatorContract, KnowsItsPlace) {
  RunRanks([traits = GetParam().traits](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    EXPECT_EQ(comm->rank(), backend.rank());
    EXPECT_EQ(comm->size(), backend.world_size());
    EXPECT_EQ(comm->traits(), traits);
    EXPECT_TRUE(comm->Health().ok());
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllReduceSumsInRankOrder) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    WEFT_RETURN_IF_ERROR(ExpectAllReduce<float>(*comm, ReduceOp::kSum));
    WEFT_RETURN_IF_ERROR(ExpectAllReduce<double>(*comm, ReduceOp::kSum));
    return ExpectAllReduce<int64_t>(*comm, ReduceOp::kSum);
  });
}

TEST_P(CommunicatorContract, AllReduceTakesTheMaximum) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    WEFT_RETURN_IF_ERROR(ExpectAllReduce<float>(*comm, ReduceOp::kMax));
    WEFT_RETURN_IF_ERROR(ExpectAllReduce<double>(*comm, ReduceOp::kMax));
    WEFT_RETURN_IF_ERROR(ExpectAllReduce<int64_t>(*comm, ReduceOp::kMax));
    if (!comm->traits().max_keeps_nan) return absl::OkStatus();
    // A NaN on any one rank is seen by all.
    for (int bad = 0; bad < comm->size(); ++bad) {
      float value = comm->rank() == bad ? std::numeric_limits<float>::quiet_NaN() : 1.0F;
      WEFT_RETURN_IF_ERROR(comm->AllReduce(View(&value, {1}), ReduceOp::kMax));
      EXPECT_TRUE(std::isnan(value));
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllReduceOfASliceIsTheSliceOfAllReduce) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    constexpr int64_t kTotal = 30011;
    const std::vector<float> mine = Contribution<float>(comm->rank(), kTotal);
    std::vector<float> whole = mine;
    WEFT_RETURN_IF_ERROR(comm->AllReduce(View(whole.data(), {kTotal}), ReduceOp::kSum));
    for (int64_t slice : {997, 4096, 15000}) {
      std::vector<float> sliced = mine;
      for (int64_t begin = 0; begin < kTotal; begin += slice) {
        const int64_t count = std::min(slice, kTotal - begin);
        WEFT_RETURN_IF_ERROR(comm->AllReduce(View(sliced.data() + begin, {count}), ReduceOp::kSum));
      }
      EXPECT_TRUE(IsReduced(*comm, sliced, whole, ReduceOp::kSum)) << "slices of " << slice;
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllGatherOrdersBlocksByRank) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    for (DType dtype : kAllDTypes) {
      for (int64_t elements : kElements) {
        const int64_t bytes = elements * SizeOf(dtype);
        std::vector<uint8_t> send;
        std::vector<uint8_t> expected;
        for (int64_t i = 0; i < bytes; ++i) send.push_back(Pattern(comm->rank(), 0, i));
        for (int member = 0; member < comm->size(); ++member) {
          for (int64_t i = 0; i < bytes; ++i) expected.push_back(Pattern(member, 0, i));
        }
        std::vector<uint8_t> recv(expected.size());
        WEFT_RETURN_IF_ERROR(comm->AllGather({send.data(), dtype, {elements}},
                                             {recv.data(), dtype, {comm->size(), elements}}));
        EXPECT_EQ(recv, expected) << elements << " elements of " << Name(dtype);
      }
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllGatherVTakesUnequalAndEmptyContributions) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    constexpr int64_t kWidth = 3;
    for (const std::vector<int64_t>& rows : BlockCases(comm->size())) {
      const int64_t my_rows = rows[static_cast<size_t>(comm->rank())];
      const std::vector<float> send = Contribution<float>(comm->rank(), my_rows * kWidth);
      std::vector<float> expected;
      for (int member = 0; member < comm->size(); ++member) {
        const std::vector<float> block =
            Contribution<float>(member, rows[static_cast<size_t>(member)] * kWidth);
        expected.insert(expected.end(), block.begin(), block.end());
      }
      std::vector<float> recv(expected.size());
      AllGatherVArgs args;
      args.send = View(send.data(), {my_rows, kWidth});
      args.recv = View(recv.data(), {std::ssize(recv) / kWidth, kWidth});
      args.rows = rows;
      WEFT_RETURN_IF_ERROR(comm->AllGatherV(args));
      EXPECT_TRUE(SameBits(recv, expected));
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, ReduceScatterVGivesEveryoneItsBlockOfTheSum) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    constexpr int64_t kWidth = 7;
    for (const std::vector<int64_t>& rows : BlockCases(comm->size())) {
      const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
      const auto mine = rows.begin() + comm->rank();
      const int64_t begin = std::accumulate(rows.begin(), mine, int64_t{0}) * kWidth;
      const std::vector<float> send = Contribution<float>(comm->rank(), total * kWidth);
      const std::vector<float> sum = Reduced<float>(comm->size(), total * kWidth, ReduceOp::kSum);
      const std::vector<float> expected(sum.begin() + begin, sum.begin() + begin + *mine * kWidth);
      std::vector<float> recv(expected.size());
      ReduceScatterVArgs args;
      args.send = View(send.data(), {total, kWidth});
      args.recv = View(recv.data(), {*mine, kWidth});
      args.rows = rows;
      WEFT_RETURN_IF_ERROR(comm->ReduceScatterV(args));
      EXPECT_TRUE(IsReduced(*comm, recv, expected, ReduceOp::kSum, begin));
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllToAllVMovesExactRowsAndTouchesNothingElse) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    for (DType dtype : {DType::kF32, DType::kBF16, DType::kI64}) {
      for (const RowMatrix& rows : RowCases(comm->size())) {
        WEFT_RETURN_IF_ERROR(ExpectAllToAllV(*comm, dtype, rows));
      }
    }
    return absl::OkStatus();
  });
}

// Blocks in descending peer with a gap behind each: on both sides, on one side, or packed.
TEST_P(CommunicatorContract, AllToAllVTakesBlocksFromAndPutsThemToWhereItIsTold) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    constexpr int64_t kGap = 3;
    constexpr int64_t kUntouched = -1;
    for (const RowMatrix& rows : RowCases(comm->size())) {
      for (const bool scatter_send : {true, false}) {
        for (const bool scatter_recv : {true, false}) {
          const auto members = static_cast<size_t>(comm->size());
          const auto me = static_cast<size_t>(comm->rank());
          std::vector<int64_t> recv_rows(members), send_begin(members), recv_begin(members);
          for (size_t p = 0; p < members; ++p) recv_rows[p] = rows[p][me];
          const auto place = [&](const std::vector<int64_t>& counts, bool scatter,
                                 std::vector<int64_t>& begin) {
            int64_t end = 0;
            for (size_t i = 0; i < members; ++i) {
              const size_t p = scatter ? members - 1 - i : i;
              begin[p] = end;
              end += counts[p] + (scatter ? kGap : 0);
            }
            return end;
          };
          const int64_t send_total = place(rows[me], scatter_send, send_begin);
          const int64_t recv_total = place(recv_rows, scatter_recv, recv_begin);
          std::vector<int64_t> send(static_cast<size_t>(send_total), kUntouched);
          std::vector<int64_t> recv(static_cast<size_t>(recv_total), kUntouched);
          std::vector<int64_t> expected = recv;
          const auto value = [](size_t from, size_t to, int64_t i) {
            return static_cast<int64_t>(from * 1000000 + to * 10000) + i;
          };
          for (size_t p = 0; p < members; ++p) {
            for (int64_t i = 0; i < rows[me][p]; ++i)
              send[static_cast<size_t>(send_begin[p] + i)] = value(me, p, i);
            for (int64_t i = 0; i < recv_rows[p]; ++i)
              expected[static_cast<size_t>(recv_begin[p] + i)] = value(p, me, i);
          }
          AllToAllVArgs args;
          args.send = View(std::as_const(send).data(), {send_total, 1});
          args.send_rows = rows[me];
          args.recv = View(recv.data(), {recv_total, 1});
          args.recv_rows = recv_rows;
          if (scatter_send) args.send_begin = send_begin;
          if (scatter_recv) args.recv_begin = recv_begin;
          WEFT_RETURN_IF_ERROR(comm->AllToAllV(args));
          EXPECT_EQ(recv, expected) << scatter_send << scatter_recv;
        }
      }
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, AllToAllVMovesMegabytes) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    return ExpectAllToAllV(*comm, DType::kF32, Rows(comm->size(), [](int from, int to) {
      return 40000 + 1000 * from + to;
    }));
  });
}

TEST_P(CommunicatorContract, BroadcastComesFromEveryRoot) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    for (int root = 0; root < comm->size(); ++root) {
      for (int64_t elements : kElements) {
        std::vector<float> data = Contribution<float>(comm->rank(), elements);
        WEFT_RETURN_IF_ERROR(comm->Broadcast(View(data.data(), {elements}), root));
        EXPECT_TRUE(SameBits(data, Contribution<float>(root, elements))) << "root " << root;
      }
    }
    return absl::OkStatus();
  });
}

TEST_P(CommunicatorContract, NobodyLeavesABarrierBeforeAllHaveEntered) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto comm, ConnectWorld(backend));
    for (int round = 0; round < 20; ++round) {
      const int64_t entered = MonotonicClock().NowNanos();
      WEFT_RETURN_IF_ERROR(comm->Barrier());
      const int64_t left = MonotonicClock().NowNanos();
      int64_t latest_entry = entered;
      WEFT_RETURN_IF_ERROR(comm->AllReduce(View(&latest_entry, {1}), ReduceOp::kMax));
      EXPECT_LE(latest_entry, left);
    }
    return absl::OkStatus();
  });
}

// Even and odd ranks: a partition whose groups have a different size when the world is odd.
TEST_P(CommunicatorContract, GroupsOfOneConnectWorkBesideEachOther) {
  RunRanks([](Backend& backend) -> absl::Status {
    std::vector<RankId> mine;
    for (RankId rank : AllRanks(backend)) {
      if (rank.value % 2 == backend.rank() % 2) mine.push_back(rank);
    }
    WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("parity", mine, absl::Seconds(60)));
    EXPECT_EQ(comm->size(), std::ssize(mine));
    EXPECT_EQ(comm->rank(), backend.rank() / 2);
    int64_t expected = 0;
    for (RankId rank : mine) expected += 100 + rank.value;
    int64_t sum = 100 + backend.rank();
    WEFT_RETURN_IF_ERROR(comm->AllReduce(View(&sum, {1}), ReduceOp::kSum));
    EXPECT_EQ(sum, expected);

    WEFT_ASSIGN_OR_RETURN(auto alone,
                          backend.Connect("alone", {RankId{backend.rank()}}, absl::Seconds(60)));
    WEFT_RETURN_IF_ERROR(alone->Barrier());
    return ExpectAllToAllV(*alone, DType::kF32, RowCases(1)[0]);
  });
}

// Two streams of every rank, each with a communicator of its own, and no order between them.
TEST_P(CommunicatorContract, TwoCommunicatorsRunFromTwoThreads) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto first, ConnectWorld(backend, "first"));
    WEFT_ASSIGN_OR_RETURN(auto second, ConnectWorld(backend, "second"));
    // On a device all ranks keep one order: without it, freeing memory on two ranks, which waits
    // for all that their devices do, can wait for two collectives that wait for these ranks.
    if (first->traits().completion == Completion::kStreamOrdered) return absl::OkStatus();
    constexpr int kRounds = 30;
    absl::Status other;
    std::thread thread([&] {
      for (int round = 0; round < kRounds && other.ok(); ++round) {
        other = ExpectAllToAllV(*second, DType::kI64, RowCases(second->size())[1]);
      }
    });
    absl::Status status;
    for (int round = 0; round < kRounds && status.ok(); ++round) {
      std::vector<float> data = Contribution<float>(first->rank(), 5000);
      status = first->AllReduce(View(data.data(), {5000}), ReduceOp::kSum);
      EXPECT_TRUE(IsReduced(*first, data, Reduced<float>(first->size(), 5000, ReduceOp::kSum),
                            ReduceOp::kSum));
    }
    thread.join();
    WEFT_RETURN_IF_ERROR(other);
    return status;
  });
}

// One communicator waits for a peer that first needs the other communicator: they must not block
// each other.
TEST_P(CommunicatorContract, AWaitingCommunicatorDoesNotHoldUpAnother) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(auto early, ConnectWorld(backend, "early"));
    WEFT_ASSIGN_OR_RETURN(auto late, ConnectWorld(backend, "late"));
    absl::Status waited;
    std::thread waiter;
    if (backend.rank() == 0) waiter = std::thread([&] { waited = late->Barrier(); });
    absl::Status status;
    for (int round = 0; round < 10 && status.ok(); ++round) status = early->Barrier();
    if (backend.rank() == 0) {
      waiter.join();
    } else {
      waited = late->Barrier();
    }
    WEFT_RETURN_IF_ERROR(status);
    return waited;
  });
}

}  // namespace
}  // namespace weft
