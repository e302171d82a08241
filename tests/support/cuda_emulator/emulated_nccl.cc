#include "tests/support/cuda_emulator/emulated_nccl.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "comm/nccl/nccl_library.h"
#include "nccl.h"
#include "tests/support/cuda_emulator/emulated_streams.h"

namespace cuda_emulator {
namespace {

enum class Kind { kAllReduce, kAllGather, kReduceScatter, kBroadcast, kReduce, kSend, kRecv };

struct Entry;

// One call of NCCL as one rank made it.
struct Call {
  Kind kind{};
  const void* send = nullptr;
  void* recv = nullptr;
  size_t count = 0;
  ncclDataType_t type{};
  ncclRedOp_t op{};
  int root = 0;  // of kSend and kRecv: the peer
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  bool arrived = false;
  bool done = false;

  bool message() const { return kind == Kind::kSend || kind == Kind::kRecv; }
};

// What one rank started together: one item of its stream.
struct Entry {
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  uint64_t position = 0;  // 0: NCCL still prepares it
  std::vector<Call> calls;
};

// Where the calls of the members that belong together meet.
struct Meeting {
  std::vector<Call*> calls;
  std::vector<std::shared_ptr<Entry>> entries;  // that own them
};

struct SplitCall {
  int color = 0;
  int key = 0;
  ncclComm_t parent = nullptr;
  ncclConfig_t config;
};

struct Clique {
  std::vector<ncclComm_t> members;
  int joined = 0;
  std::map<uint64_t, Meeting> collectives;                     // by number
  std::map<std::tuple<int, int, uint64_t>, Meeting> messages;  // by sender, receiver, number
  std::map<uint64_t, std::vector<SplitCall>> splits;           // by number
};

}  // namespace
}  // namespace cuda_emulator

// One rank's communicator. Stays when it has ended, so that a late call is noticed.
struct ncclComm {
  std::shared_ptr<cuda_emulator::Clique> clique;
  int place = 0;
  int device = 0;
  ncclConfig_t config;
  bool connecting = true;
  bool finishing = false;
  bool ended = false;
  ncclResult_t error = ncclSuccess;
  std::string warning;
  std::shared_ptr<cuda_emulator::Entry> preparing;
  bool asked = false;                                         // while it prepares
  ncclComm_t* child = nullptr;                                // where the result of a split goes
  ncclComm_t split = nullptr;                                 // the result of a split
  uint64_t splits = 0;                                        // called so far
  uint64_t collectives = 0;                                   // arrived so far
  std::map<int, uint64_t> sent;                               // messages, by peer
  std::map<int, uint64_t> taken;                              // messages, by peer
  std::deque<std::shared_ptr<cuda_emulator::Entry>> entries;  // in streams, not ended
};

namespace cuda_emulator {
namespace {

struct Nccl {
  bool there = true;
  uint64_t ids = 0;
  std::map<uint64_t, std::shared_ptr<Clique>> cliques;  // by id, until all have joined
  std::vector<std::unique_ptr<ncclComm>> comms;         // all that ever were
  int max_ctas = 0;                                     // of the last call's
};

Nccl& TheNccl() {
  static Nccl nccl;
  return nccl;
}

// Calls between ncclGroupStart and ncclGroupEnd.
thread_local int group_depth = 0;
thread_local std::vector<Call> group_calls;

size_t SizeOfType(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return 1;
    case ncclBfloat16:
      return 2;
    case ncclFloat32:
      return 4;
    default:
      return 8;
  }
}

size_t Bytes(const Call& call) { return call.count * SizeOfType(call.type); }

void SetError(ncclComm_t comm, ncclResult_t error, const std::string& warning) {
  if (comm->error != ncclSuccess || comm->ended) return;
  comm->error = error;
  comm->warning = warning;
  Changed();
}

void SetErrors(const Meeting& meeting, const std::string& warning) {
  for (const Call* call : meeting.calls) SetError(call->comm, ncclInvalidUsage, warning);
}

// Sums and maxima, where x goes into the sum so far.
template <typename T>
T Reduce(T sum, T x, ncclRedOp_t op) {
  if (op == ncclSum) return sum + x;
  if constexpr (std::is_floating_point_v<T>) return std::fmax(sum, x);
  return std::max(sum, x);
}

struct Bf16 {
  uint16_t bits;
};
float Widened(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float wide = 0;
  std::memcpy(&wide, &bits, sizeof(wide));
  return wide;
}
Bf16 Reduce(Bf16 sum, Bf16 x, ncclRedOp_t op) {
  const float wide = Reduce(Widened(sum), Widened(x), op);
  uint32_t bits = 0;
  std::memcpy(&bits, &wide, sizeof(bits));
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// `count` elements from `first` on of all members' send, into each of `into`. Parts of the data go
// round the members from different beginnings, as in a ring.
template <typename T>
void ReduceAll(const Meeting& meeting, size_t first, size_t count, const std::vector<void*>& into) {
  const size_t members = meeting.calls.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t start = 1 + i * members / count;
    const auto value = [&](size_t k) {
      return static_cast<const T*>(meeting.calls[(start + k) % members]->send)[first + i];
    };
    T sum = value(0);
    for (size_t k = 1; k < members; ++k) sum = Reduce(sum, value(k), meeting.calls.front()->op);
    for (void* to : into) static_cast<T*>(to)[i] = sum;
  }
}

void ReduceInto(const Meeting& meeting, size_t first, size_t count,
                const std::vector<void*>& into) {
  switch (meeting.calls.front()->type) {
    case ncclUint8:
      return ReduceAll<uint8_t>(meeting, first, count, into);
    case ncclInt64:
      return ReduceAll<int64_t>(meeting, first, count, into);
    case ncclFloat32:
      return ReduceAll<float>(meeting, first, count, into);
    case ncclFloat64:
      return ReduceAll<double>(meeting, first, count, into);
    case ncclBfloat16:
      return ReduceAll<Bf16>(meeting, first, count, into);
  }
}

void CheckMemory(const Call& call, const void* data, bool used) {
  if (!used || call.count == 0) return;
  WEFT_CHECK(IsMemoryOf(call.comm->device, data), "NCCL gets memory of its communicator's device");
}

// All members are there, with calls that fit: in place of the device's work.
void Perform(const Meeting& meeting) {
  const Call& any = *meeting.calls.front();
  const size_t bytes = Bytes(any);
  std::vector<void*> into;
  for (Call* call : meeting.calls) {
    const bool root = call->comm->place == call->root;
    CheckMemory(*call, call->send, call->kind != Kind::kBroadcast || root);
    CheckMemory(*call, call->recv, call->kind != Kind::kReduce || root);
    into.push_back(call->recv);
  }
  switch (any.kind) {
    case Kind::kAllReduce:
      return ReduceInto(meeting, 0, any.count, into);
    case Kind::kReduce:
      return ReduceInto(meeting, 0, any.count, {into[static_cast<size_t>(any.root)]});
    case Kind::kReduceScatter:
      for (size_t member = 0; member < into.size(); ++member)
        ReduceInto(meeting, member * any.count, any.count, {into[member]});
      return;
    case Kind::kAllGather:
      for (void* to : into) {
        for (size_t from = 0; from < into.size(); ++from) {
          std::memmove(static_cast<char*>(to) + from * bytes, meeting.calls[from]->send, bytes);
        }
      }
      return;
    case Kind::kBroadcast:
      for (void* to : into)
        std::memmove(to, meeting.calls[static_cast<size_t>(any.root)]->send, bytes);
      return;
    default:
      return;
  }
}

// Then it never ends for the others.
bool SomebodyLeft(const Meeting& meeting) {
  return std::any_of(meeting.calls.begin(), meeting.calls.end(),
                     [](const Call* call) { return call->comm->ended; });
}

void Finish(const Meeting& meeting) {
  for (Call* call : meeting.calls) call->done = true;
  Changed();
}

void MeetAll(Clique& clique, uint64_t number, const std::shared_ptr<Entry>& entry, Call& call) {
  Meeting& meeting = clique.collectives[number];
  meeting.calls.push_back(&call);
  meeting.entries.push_back(entry);
  if (meeting.calls.size() < clique.members.size() || SomebodyLeft(meeting)) return;
  std::sort(meeting.calls.begin(), meeting.calls.end(),
            [](const Call* a, const Call* b) { return a->comm->place < b->comm->place; });
  const bool fit = std::all_of(meeting.calls.begin(), meeting.calls.end(), [&](const Call* c) {
    return c->kind == call.kind && c->count == call.count && c->type == call.type &&
           c->op == call.op && c->root == call.root;
  });
  if (fit) {
    Perform(meeting);
    Finish(meeting);
  } else {
    SetErrors(meeting, "ranks call collectives that do not fit");
  }
  clique.collectives.erase(number);
}

void MeetPeer(Clique& clique, const std::shared_ptr<Entry>& entry, Call& call) {
  const bool sends = call.kind == Kind::kSend;
  const int me = call.comm->place;
  const std::tuple<int, int, uint64_t> key =
      sends ? std::tuple(me, call.root, call.comm->sent[call.root]++)
            : std::tuple(call.root, me, call.comm->taken[call.root]++);
  Meeting& meeting = clique.messages[key];
  meeting.calls.push_back(&call);
  meeting.entries.push_back(entry);
  if (meeting.calls.size() < 2 || SomebodyLeft(meeting)) return;
  const Call& send = *meeting.calls[meeting.calls[0]->kind == Kind::kSend ? 0 : 1];
  const Call& recv = *meeting.calls[meeting.calls[0]->kind == Kind::kSend ? 1 : 0];
  if (send.count == recv.count && send.type == recv.type) {
    CheckMemory(send, send.send, true);
    CheckMemory(recv, recv.recv, true);
    std::memmove(recv.recv, send.send, Bytes(send));
    Finish(meeting);
  } else {
    SetErrors(meeting, "a message has another size than its receiver waits for");
  }
  clique.messages.erase(key);
}

// The item of a stream: true when all calls have met their partners.
bool RunEntry(const std::shared_ptr<Entry>& entry) {
  const ncclComm_t comm = entry->comm;
  for (Call& call : entry->calls) {
    if (call.arrived || comm->ended) continue;
    call.arrived = true;
    Changed();
    if (call.message()) {
      MeetPeer(*comm->clique, entry, call);
    } else {
      MeetAll(*comm->clique, comm->collectives++, entry, call);
    }
  }
  const auto over = [&] {
    return comm->ended || std::all_of(entry->calls.begin(), entry->calls.end(),
                                      [](const Call& call) { return call.done; });
  };
  // The others' streams run on their own, too.
  for (size_t member = 0; member < comm->clique->members.size() && !over(); ++member) {
    const std::deque<std::shared_ptr<Entry>> theirs = comm->clique->members[member]->entries;
    for (const std::shared_ptr<Entry>& other : theirs) {
      if (other != entry) Advance(other->stream, other->position);
    }
  }
  if (!over()) return false;
  std::erase(comm->entries, entry);
  return true;
}

// NCCL has prepared it: now it is in its stream.
void PutIntoStream(const std::shared_ptr<Entry>& entry) {
  entry->comm->entries.push_back(entry);
  entry->position = Issue(entry->stream, [entry] { return RunEntry(entry); });
}

ncclResult_t Refused(ncclComm_t comm) {
  if (comm == nullptr || comm->ended) return ncclInvalidArgument;
  if (comm->error != ncclSuccess) return comm->error;
  const bool busy = comm->connecting || comm->preparing != nullptr || comm->child != nullptr;
  return busy || comm->finishing ? ncclInvalidUsage : ncclSuccess;
}

ncclResult_t Prepare(std::vector<Call> calls) {
  if (calls.empty()) return ncclSuccess;
  const auto lock = TakeLock();
  auto entry = std::make_shared<Entry>();
  entry->comm = calls.front().comm;
  entry->stream = calls.front().stream;
  if (const ncclResult_t refused = Refused(entry->comm); refused != ncclSuccess) return refused;
  for (const Call& call : calls) {
    const auto members = static_cast<int>(call.comm->clique->members.size());
    if (call.comm != entry->comm || call.stream != entry->stream) return ncclInvalidUsage;
    if (call.root < 0 || call.root >= members) return ncclInvalidArgument;
  }
  TheNccl().max_ctas = entry->comm->config.maxCTAs;
  entry->calls = std::move(calls);
  entry->comm->preparing = entry;
  entry->comm->asked = false;
  return ncclInProgress;
}

ncclResult_t Add(const Call& call) {
  if (group_depth == 0) return Prepare({call});
  group_calls.push_back(call);
  return ncclSuccess;
}

ncclComm_t Join(const std::shared_ptr<Clique>& clique, int place, int device,
                const ncclConfig_t& config) {
  const auto& comm = TheNccl().comms.emplace_back(std::make_unique<ncclComm>());
  comm->clique = clique;
  comm->place = place;
  comm->device = device;
  comm->config = config;
  clique->members[static_cast<size_t>(place)] = comm.get();
  ++clique->joined;
  return comm.get();
}

// All have joined: ready, unless two share a device.
void Connected(const Clique& clique) {
  std::vector<int> devices;
  for (const ncclComm_t member : clique.members) devices.push_back(member->device);
  std::sort(devices.begin(), devices.end());
  const bool shared = std::adjacent_find(devices.begin(), devices.end()) != devices.end();
  for (const ncclComm_t member : clique.members) {
    member->connecting = false;
    if (shared) SetError(member, ncclInvalidUsage, "two ranks share a device");
  }
  Changed();
}

void MakeChildren(std::vector<SplitCall> calls) {
  std::sort(calls.begin(), calls.end(), [](const SplitCall& a, const SplitCall& b) {
    return std::tuple(a.color, a.key, a.parent->place) <
           std::tuple(b.color, b.key, b.parent->place);
  });
  for (size_t begin = 0; begin < calls.size();) {
    size_t end = begin;
    while (end < calls.size() && calls[end].color == calls[begin].color) ++end;
    auto clique = std::make_shared<Clique>();
    clique->members.resize(end - begin);
    for (size_t i = begin; i < end; ++i) {
      const ncclComm_t parent = calls[i].parent;
      parent->split = Join(clique, static_cast<int>(i - begin), parent->device, calls[i].config);
    }
    Connected(*clique);
    begin = end;
  }
}

ncclResult_t End(ncclComm_t comm) {
  const auto lock = TakeLock();
  if (comm->ended) return ncclInvalidArgument;
  comm->ended = true;
  comm->preparing = nullptr;
  comm->child = nullptr;
  Changed();
  return ncclSuccess;
}

}  // namespace

void SetNccl(bool there) {
  const auto lock = TakeLock();
  TheNccl().there = there;
}

void LoseNcclPeers() {
  const auto lock = TakeLock();
  for (const auto& comm : TheNccl().comms) SetError(comm.get(), ncclRemoteError, "a peer is gone");
}

int NcclMaxCtas() {
  const auto lock = TakeLock();
  return TheNccl().max_ctas;
}

}  // namespace cuda_emulator

using cuda_emulator::Kind;
using cuda_emulator::TakeLock;

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION(NCCL_MAJOR, NCCL_MINOR, 0);
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote error" : "an error of the emulator";
}
const char* ncclGetLastError(ncclComm_t comm) {
  return comm == nullptr ? "" : comm->warning.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const auto lock = TakeLock();
  const uint64_t number = ++cuda_emulator::TheNccl().ids;
  *id = {};
  std::memcpy(id->internal, &number, sizeof(number));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  const auto lock = TakeLock();
  uint64_t number = 0;
  std::memcpy(&number, id.internal, sizeof(number));
  if (config->blocking != 0 || number == 0 || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  auto& clique = cuda_emulator::TheNccl().cliques[number];
  if (clique == nullptr) {
    clique = std::make_shared<cuda_emulator::Clique>();
    clique->members.resize(static_cast<size_t>(ranks));
  }
  if (clique->members[static_cast<size_t>(rank)] != nullptr) return ncclInvalidUsage;
  *comm = cuda_emulator::Join(clique, rank, cuda_emulator::CurrentDevice(), *config);
  if (clique->joined == ranks) {
    cuda_emulator::Connected(*clique);
    cuda_emulator::TheNccl().cliques.erase(number);
  }
  return ncclInProgress;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made,
                           ncclConfig_t* config) {
  const auto lock = TakeLock();
  if (const ncclResult_t refused = cuda_emulator::Refused(comm); refused != ncclSuccess)
    return refused;
  if (config->blocking != 0) return ncclInvalidArgument;
  comm->child = made;
  comm->split = nullptr;
  const uint64_t number = comm->splits++;
  auto& calls = comm->clique->splits[number];
  calls.push_back({color, key, comm, *config});
  if (calls.size() == comm->clique->members.size()) {
    cuda_emulator::MakeChildren(calls);
    comm->clique->splits.erase(number);
  }
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const auto lock = TakeLock();
  if (const ncclResult_t refused = cuda_emulator::Refused(comm); refused != ncclSuccess)
    return refused;
  comm->finishing = true;
  return ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return cuda_emulator::End(comm); }
ncclResult_t ncclCommAbort(ncclComm_t comm) { return cuda_emulator::End(comm); }

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const auto lock = TakeLock();
  if (comm == nullptr || comm->ended) return ncclInvalidArgument;
  *error = comm->error;
  if (comm->error != ncclSuccess) return ncclSuccess;
  *error = ncclInProgress;
  if (comm->connecting) return ncclSuccess;
  if (comm->child != nullptr) {
    if (comm->split == nullptr) return ncclSuccess;
    *std::exchange(comm->child, nullptr) = comm->split;
  }
  if (comm->preparing != nullptr) {
    if (!std::exchange(comm->asked, true)) return ncclSuccess;
    cuda_emulator::PutIntoStream(std::exchange(comm->preparing, nullptr));
  }
  if (!comm->finishing || comm->entries.empty()) *error = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++cuda_emulator::group_depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  if (--cuda_emulator::group_depth > 0) return ncclSuccess;
  return cuda_emulator::Prepare(std::exchange(cuda_emulator::group_calls, {}));
}

ncclResult_t ncclAllReduce(const void* send, void* recv, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kAllReduce, send, recv, count, type, op, 0, comm, stream});
}
ncclResult_t ncclAllGather(const void* send, void* recv, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kAllGather, send, recv, count, type, ncclSum, 0, comm, stream});
}
ncclResult_t ncclReduceScatter(const void* send, void* recv, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kReduceScatter, send, recv, count, type, op, 0, comm, stream});
}
ncclResult_t ncclBroadcast(const void* send, void* recv, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add(
      {Kind::kBroadcast, send, recv, count, type, ncclSum, root, comm, stream});
}
ncclResult_t ncclReduce(const void* send, void* recv, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kReduce, send, recv, count, type, op, root, comm, stream});
}
ncclResult_t ncclSend(const void* send, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kSend, send, nullptr, count, type, ncclSum, peer, comm, stream});
}
ncclResult_t ncclRecv(void* recv, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return cuda_emulator::Add({Kind::kRecv, nullptr, recv, count, type, ncclSum, peer, comm, stream});
}

namespace weft {

// In the place of comm/nccl/open_nccl.cc.
absl::StatusOr<const NcclLibrary*> LoadNccl() {
  static const NcclLibrary nccl{
      ncclGetVersion, ncclGetErrorString, ncclGetLastError, ncclGetUniqueId, ncclCommInitRankConfig,
      ncclCommSplit,  ncclCommFinalize,   ncclCommDestroy,  ncclCommAbort,   ncclCommGetAsyncError,
      ncclGroupStart, ncclGroupEnd,       ncclAllReduce,    ncclAllGather,   ncclReduceScatter,
      ncclBroadcast,  ncclReduce,         ncclSend,         ncclRecv};
  const auto lock = cuda_emulator::TakeLock();
  if (!cuda_emulator::TheNccl().there) {
    return absl::UnavailableError("no NCCL: cannot open its library: the emulator has none");
  }
  return &nccl;
}

}  // namespace weft
