#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/check.h"
#include "cuda_runtime.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/cuda_emulator/emulated_streams.h"
#include "tests/support/cuda_emulator/nvtx3/nvToolsExt.h"
#include "tests/support/guarded_memory.h"

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

namespace cuda_emulator {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr unsigned kWarp = 32;
constexpr unsigned kMostThreads = 1024;

enum class State : uint8_t { kReady, kAtBlock, kAtWarp, kDone };

// One block at a time, its threads as fibers of the host thread that runs it.
class Block {
 public:
  Block() {
    void* const stacks = mmap(nullptr, kStackBytes * kMostThreads, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    WEFT_CHECK(stacks != MAP_FAILED, "room for the stacks of a block");
    stacks_ = static_cast<char*>(stacks);
  }
  ~Block() { munmap(stacks_, kStackBytes * kMostThreads); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void Run(const std::function<void()>& thread, unsigned threads, bool backwards) {
    WEFT_CHECK(threads > 0 && threads <= kMostThreads && threads % kWarp == 0,
               "a block has whole warps, 1024 threads at most");
    thread_ = &thread;
    threads_ = threads;
    for (unsigned i = 0; i < threads; ++i) {
      fibers_[i].state = State::kReady;
      fibers_[i].exchanges = 0;
    }
    exchanges_.fill({});
    for (;;) {
      bool ran = false;
      for (unsigned k = 0; k < threads; ++k) {
        const unsigned i = backwards ? threads - 1 - k : k;
        if (fibers_[i].state != State::kReady) continue;
        ran = true;
        Resume(i);
      }
      if (ran) continue;
      bool released = false;
      for (unsigned first = 0; first < threads; first += kWarp) released |= ReleaseWarp(first);
      if (released) continue;
      bool waiting = false;
      bool whole = true;
      for (unsigned i = 0; i < threads; ++i) {
        waiting |= fibers_[i].state == State::kAtBlock;
        whole &= fibers_[i].state != State::kAtWarp;
      }
      WEFT_CHECK(whole, "threads of a warp wait at different barriers");
      if (!waiting) return;
      for (unsigned i = 0; i < threads; ++i)
        if (fibers_[i].state == State::kAtBlock) fibers_[i].state = State::kReady;
    }
  }

  void SyncBlock() { Yield(State::kAtBlock); }

  void SyncWarp() {
    fibers_[current_].state = State::kAtWarp;
    Yield(ReleaseWarp(current_ / kWarp * kWarp) ? State::kReady : State::kAtWarp);
  }

  const std::array<uint64_t, kWarp>& Exchange(uint64_t mine) {
    // A lane is at most one exchange ahead of the others: two sets of slots do.
    Fiber& fiber = fibers_[current_];
    auto& slots = exchanges_[current_ / kWarp][fiber.exchanges++ % 2];
    slots[current_ % kWarp] = mine;
    SyncWarp();
    return slots;
  }
  unsigned current() const { return current_; }

 private:
  struct Fiber {
    State state = State::kReady;
    bool started = false;
    unsigned exchanges = 0;
    jmp_buf resume;
  };

  // When all lanes that are not done have come to the barrier.
  bool ReleaseWarp(unsigned first) {
    bool waiting = false;
    for (unsigned i = first; i < first + kWarp; ++i) {
      if (fibers_[i].state == State::kDone) continue;
      if (fibers_[i].state != State::kAtWarp) return false;
      waiting = true;
    }
    for (unsigned i = first; i < first + kWarp; ++i)
      if (fibers_[i].state == State::kAtWarp) fibers_[i].state = State::kReady;
    return waiting;
  }

  void SetIndex(unsigned i) {
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  }

  void Resume(unsigned i) {
    current_ = i;
    SetIndex(i);
    if (_setjmp(scheduler_) != 0) return;
    Fiber& fiber = fibers_[i];
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks_ + kStackBytes * i;
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, &Block::Main, 0);
    setcontext(&context);
  }

  void Yield(State state) {
    Fiber& fiber = fibers_[current_];
    fiber.state = state;
    if (_setjmp(fiber.resume) == 0) _longjmp(scheduler_, 1);
  }

  static void Main();

  const std::function<void()>* thread_ = nullptr;
  unsigned threads_ = 0;
  unsigned current_ = 0;
  char* stacks_ = nullptr;
  jmp_buf scheduler_;
  std::array<Fiber, kMostThreads> fibers_;
  std::array<std::array<std::array<uint64_t, kWarp>, 2>, kMostThreads / kWarp> exchanges_{};
};

Block& ThisBlock() {
  static thread_local Block block;
  return block;
}

// A fiber lives on and runs one thread of one block after another.
void Block::Main() {
  Block& block = ThisBlock();
  for (;;) {
    (*block.thread_)();
    block.Yield(State::kDone);
  }
}

}  // namespace
}  // namespace cuda_emulator

struct CUstream_st {
  std::deque<cuda_emulator::Item> pending;
  uint64_t issued = 0;
  uint64_t done = 0;
  int device = 0;
  bool running = false;
};

struct CUevent_st {
  CUstream_st* stream = nullptr;  // null: never recorded
  uint64_t position = 0;          // reached when so many of the stream's items are done
  std::shared_ptr<int64_t> nanos = std::make_shared<int64_t>(0);
};

namespace cuda_emulator {
namespace {

struct Device {
  // CUDA_EMULATOR_GUARD=off leaves the memory open: guarding costs as much time as memory is used,
  // and a test of kernels has nobody who might touch it.
  Device() {
    const char* const guard = std::getenv("CUDA_EMULATOR_GUARD");
    if (guard != nullptr && std::strcmp(guard, "off") == 0) open.emplace(memory);
  }

  std::mutex mutex;
  std::condition_variable changed;
  uint64_t changes = 0;
  weft::GuardedMemory memory;  // of all devices
  std::optional<weft::GuardedMemory::Access> open;
  std::map<const void*, int> owners;  // by where an allocation begins
  std::map<const void*, size_t> pinned;
  std::vector<CUstream_st*> streams;
  int devices = 1;
  int failing_launches = 0;
  cudaError_t last_error = cudaSuccess;
  uint64_t blocks = 0;
  std::set<std::string> ranges_of_launches;
};

Device& TheDevice() {
  static Device device;
  return device;
}

thread_local int current_device = 0;
thread_local std::vector<std::string> ranges;  // of NVTX, that are open

cudaError_t Failed(cudaError_t error) {
  TheDevice().last_error = error;
  return error;
}

// Blocks, with the lock released, while the stream waits for something of another thread. A stream
// that is destroyed meanwhile has run.
void RunUntil(CUstream_st* stream, uint64_t position, std::unique_lock<std::mutex>& lock) {
  Device& device = TheDevice();
  const auto left = [&] {
    const auto& all = device.streams;
    return std::find(all.begin(), all.end(), stream) != all.end() && stream->done < position;
  };
  while (left()) {
    const uint64_t before = device.changes;
    {
      const weft::GuardedMemory::Access access(device.memory);
      Advance(stream, position);
    }
    if (left()) device.changed.wait(lock, [&] { return device.changes != before; });
  }
}

cudaError_t IssueDone(CUstream_st* stream, std::function<void()> work) {
  Issue(stream, [work = std::move(work)] {
    work();
    return true;
  });
  return cudaSuccess;
}

bool IsPinned(const void* data) {
  const auto& pinned = TheDevice().pinned;
  auto it = pinned.upper_bound(data);
  if (it == pinned.begin()) return false;
  --it;
  return static_cast<const char*>(data) < static_cast<const char*>(it->first) + it->second;
}

}  // namespace

std::unique_lock<std::mutex> TakeLock() { return std::unique_lock<std::mutex>(TheDevice().mutex); }

void Changed() {
  ++TheDevice().changes;
  TheDevice().changed.notify_all();
}

uint64_t Issue(CUstream_st* stream, Item item) {
  WEFT_CHECK(stream != nullptr, "work names its stream: the default one waits for all others");
  stream->pending.push_back(std::move(item));
  Changed();
  return ++stream->issued;
}

void Advance(CUstream_st* stream, uint64_t position) {
  if (stream->running) return;
  stream->running = true;
  while (stream->done < position && stream->pending.front()()) {
    stream->pending.pop_front();
    ++stream->done;
    Changed();
  }
  stream->running = false;
}

int CurrentDevice() { return current_device; }

bool IsMemoryOf(int device, const void* data) {
  const auto& owners = TheDevice().owners;
  const auto after = owners.upper_bound(data);
  return TheDevice().memory.Holds(data) && after != owners.begin() &&
         std::prev(after)->second == device;
}

const std::array<uint64_t, 32>& Exchange(uint64_t mine) { return ThisBlock().Exchange(mine); }
unsigned Lane() { return ThisBlock().current() % kWarp; }

std::set<std::string> RangesOfLaunches() {
  const auto lock = TakeLock();
  return TheDevice().ranges_of_launches;
}

void FailLaunches(int n) { TheDevice().failing_launches = n; }
void SetDevices(int count) { TheDevice().devices = count; }

cudaError_t Launch(const cudaLaunchConfig_t& config, std::function<void()> thread) {
  Device& device = TheDevice();
  const auto lock = TakeLock();
  if (device.failing_launches > 0) {
    --device.failing_launches;
    return Failed(cudaErrorLaunchFailure);
  }
  device.ranges_of_launches.insert(ranges.empty() ? "" : ranges.back());
  const dim3 grid = config.gridDim, block = config.blockDim;
  if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.z == 0 || grid.z > 65535 ||
      block.x * block.y * block.z > kMostThreads) {
    return Failed(cudaErrorInvalidValue);
  }
  return IssueDone(config.stream, [&device, grid, block, body = std::move(thread)] {
    gridDim = grid;
    blockDim = block;
    for (unsigned z = 0; z < grid.z; ++z) {
      for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y, z};
          ThisBlock().Run(body, block.x * block.y * block.z, ++device.blocks % 2 == 0);
        }
      }
    }
  });
}

}  // namespace cuda_emulator

int nvtxRangePushA(const char* name) {
  cuda_emulator::ranges.emplace_back(name);
  return static_cast<int>(cuda_emulator::ranges.size()) - 1;
}

int nvtxRangePop() {
  WEFT_CHECK(!cuda_emulator::ranges.empty(), "a range was begun on this thread");
  cuda_emulator::ranges.pop_back();
  return static_cast<int>(cuda_emulator::ranges.size());
}

using cuda_emulator::TakeLock;
using cuda_emulator::TheDevice;

void __syncthreads() { cuda_emulator::ThisBlock().SyncBlock(); }
void __syncwarp(unsigned /*mask*/) { cuda_emulator::ThisBlock().SyncWarp(); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = TheDevice().devices;
  return TheDevice().devices > 0 ? cudaSuccess : cudaErrorInsufficientDriver;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= TheDevice().devices) return cudaErrorInvalidValue;
  cuda_emulator::current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int /*device*/) {
  *properties = {};
  std::strcpy(properties->name, "emulator");
  properties->totalGlobalMem = size_t{1} << 30;
  properties->multiProcessorCount = 4;
  properties->major = 9;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = TheDevice().devices > 0 ? 13000 : 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = size_t{1} << 30;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaSuccess ? "cudaSuccess" : "cudaErrorEmulated";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "an error of the emulator";
}
cudaError_t cudaPeekAtLastError() { return TheDevice().last_error; }
cudaError_t cudaGetLastError() { return std::exchange(TheDevice().last_error, cudaSuccess); }

cudaError_t cudaMalloc(void** data, size_t bytes) {
  const auto lock = TakeLock();
  weft::GuardedMemory& memory = TheDevice().memory;
  *data = memory.Allocate(static_cast<int64_t>(bytes));
  TheDevice().owners[*data] = cuda_emulator::current_device;
  const weft::GuardedMemory::Access access(memory);
  std::memset(*data, 0xff, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  auto lock = TakeLock();
  const auto owned = TheDevice().owners.find(data);
  if (owned == TheDevice().owners.end()) return cuda_emulator::Failed(cudaErrorInvalidValue);
  // Waits for the whole device.
  std::vector<std::pair<CUstream_st*, uint64_t>> running;
  for (CUstream_st* stream : TheDevice().streams)
    if (stream->device == owned->second) running.emplace_back(stream, stream->issued);
  for (const auto& [stream, issued] : running) cuda_emulator::RunUntil(stream, issued, lock);
  TheDevice().owners.erase(data);
  TheDevice().memory.Free(data);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned /*flags*/) {
  const auto lock = TakeLock();
  *data = std::malloc(bytes);
  TheDevice().pinned[*data] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  const auto lock = TakeLock();
  TheDevice().pinned.erase(data);
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data) {
  const auto lock = TakeLock();
  *attributes = {};
  if (TheDevice().memory.Holds(data)) {
    attributes->type = cudaMemoryTypeDevice;
  } else if (cuda_emulator::IsPinned(data)) {
    attributes->type = cudaMemoryTypeHost;
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const auto lock = TakeLock();
  // What is not pinned is read before the call returns.
  std::shared_ptr<std::vector<char>> staged;
  if (kind == cudaMemcpyHostToDevice && !cuda_emulator::IsPinned(from)) {
    const char* const begin = static_cast<const char*>(from);
    staged = std::make_shared<std::vector<char>>(begin, begin + bytes);
  }
  return cuda_emulator::IssueDone(stream, [to, from, bytes, staged] {
    std::memcpy(to, staged != nullptr ? staged->data() : from, bytes);
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const auto lock = TakeLock();
  return cuda_emulator::IssueDone(stream, [to, value, bytes] { std::memset(to, value, bytes); });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned /*flags*/,
                                         int /*priority*/) {
  const auto lock = TakeLock();
  *stream = new CUstream_st;
  (*stream)->device = cuda_emulator::current_device;
  TheDevice().streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  auto lock = TakeLock();
  cuda_emulator::RunUntil(stream, stream->issued, lock);
  std::erase(TheDevice().streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  auto lock = TakeLock();
  cuda_emulator::RunUntil(stream, stream->issued, lock);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const auto lock = TakeLock();
  if (event->stream == nullptr) return cudaSuccess;
  cuda_emulator::Issue(stream, [from = event->stream, position = event->position] {
    cuda_emulator::Advance(from, position);
    return from->done >= position;
  });
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto lock = TakeLock();
  event->stream = stream;
  event->nanos = std::make_shared<int64_t>(0);
  const cudaError_t issued = cuda_emulator::IssueDone(stream, [nanos = event->nanos] {
    *nanos = std::chrono::steady_clock::now().time_since_epoch().count();
  });
  event->position = stream->issued;
  return issued;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const auto lock = TakeLock();
  if (event->stream == nullptr || event->stream->done >= event->position) return cudaSuccess;
  return cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  auto lock = TakeLock();
  if (event->stream != nullptr) cuda_emulator::RunUntil(event->stream, event->position, lock);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const auto lock = TakeLock();
  if (*begin->nanos == 0 || *end->nanos == 0) return cudaErrorNotReady;
  *milliseconds = static_cast<float>(static_cast<double>(*end->nanos - *begin->nanos) * 1e-6);
  return cudaSuccess;
}
