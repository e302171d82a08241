// The switch between the nodes of an emulated cluster whose links have a delay: passes frames on
// among the devices that it is given, each so many microseconds after it has arrived, in order.
// bench/cluster/up.sh starts it.
//
// usage: delay_switch MICROSECONDS DEVICE...
//
// Comes back as soon as frames pass and goes on in the background until it is killed; nothing but
// the process has to go. It ends by itself when a device does.

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <deque>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "bench/cluster/packet_port.h"

namespace weft {
namespace {

constexpr int64_t kLongestMicros = 100'000;
// Many times what links of 10 Gbit/s and the longest delay have under way. What does not fit waits
// in the kernel.
constexpr size_t kMostBytes = size_t{1} << 30;

class DelaySwitch {
 public:
  DelaySwitch(int64_t delay_nanos, std::vector<PacketPort> ports) : delay_nanos_(delay_nanos) {
    for (PacketPort& port : ports) lines_.push_back({std::move(port), {}, false});
  }

  // Comes back with the error of a device.
  absl::Status Run() {
    while (true) {
      WEFT_RETURN_IF_ERROR(TakeIn());
      WEFT_RETURN_IF_ERROR(SendDue());
      WEFT_RETURN_IF_ERROR(Wait());
    }
  }

 private:
  struct Waiting {
    int64_t due_nanos;
    std::string frame;
  };
  struct Line {
    PacketPort port;
    std::deque<Waiting> queue;  // to leave by the port
    bool full;                  // the device did not take the first one, which is due
  };

  absl::Status TakeIn() {
    std::string frame;
    int64_t arrival_nanos = 0;
    for (size_t from = 0; from < lines_.size(); ++from) {
      while (bytes_ < kMostBytes) {
        WEFT_ASSIGN_OR_RETURN(const bool got, lines_[from].port.Receive(&frame, &arrival_nanos));
        if (!got) break;
        Enqueue(from, frame, arrival_nanos + delay_nanos_);
      }
    }
    return absl::OkStatus();
  }

  // As any switch: to where the address was last seen, to everyone while it was not.
  void Enqueue(size_t from, const std::string& frame, int64_t due_nanos) {
    line_of_[SourceOf(frame)] = from;
    const uint64_t destination = DestinationOf(frame);
    const auto known = line_of_.find(destination);
    const bool everyone = IsMulticast(destination) || known == line_of_.end();
    for (size_t to = 0; to < lines_.size(); ++to) {
      if (to == from || (!everyone && to != known->second)) continue;
      lines_[to].queue.push_back({due_nanos, frame});
      bytes_ += frame.size();
    }
  }

  absl::Status SendDue() {
    const int64_t now = MonotonicClock().NowNanos();
    for (Line& line : lines_) {
      line.full = false;
      while (!line.queue.empty() && line.queue.front().due_nanos <= now) {
        WEFT_ASSIGN_OR_RETURN(const bool sent, line.port.Send(line.queue.front().frame));
        line.full = !sent;
        if (!sent) break;
        bytes_ -= line.queue.front().frame.size();
        line.queue.pop_front();
      }
    }
    return absl::OkStatus();
  }

  // Until something can be done. While a frame waits for its time, those that arrive need nothing:
  // the kernel stamps them, and none is due before that one.
  absl::Status Wait() {
    std::optional<int64_t> due;
    std::vector<pollfd> sockets;
    for (const Line& line : lines_) {
      if (line.full) {
        sockets.push_back({line.port.fd(), POLLOUT, 0});
      } else if (!line.queue.empty()) {
        due = std::min(due.value_or(line.queue.front().due_nanos), line.queue.front().due_nanos);
      }
    }
    timespec left{};
    if (due.has_value()) {
      const int64_t nanos = std::max<int64_t>(0, *due - MonotonicClock().NowNanos());
      left = {nanos / 1'000'000'000, nanos % 1'000'000'000};
    } else if (bytes_ < kMostBytes) {
      for (const Line& line : lines_) sockets.push_back({line.port.fd(), POLLIN, 0});
    }
    if (ppoll(sockets.data(), sockets.size(), due.has_value() ? &left : nullptr, nullptr) < 0 &&
        errno != EINTR) {
      return absl::ErrnoToStatus(errno, "waiting for frames failed");
    }
    return absl::OkStatus();
  }

  const int64_t delay_nanos_;
  std::vector<Line> lines_;
  size_t bytes_ = 0;                               // of all queues
  absl::flat_hash_map<uint64_t, size_t> line_of_;  // by address
};

absl::StatusOr<DelaySwitch> Open(int argc, char** argv) {
  int64_t micros = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[1], &micros) || micros < 0 || micros > kLongestMicros) {
    return absl::InvalidArgumentError(
        "usage: delay_switch MICROSECONDS DEVICE...; from 0 to 100000 microseconds");
  }
  std::vector<PacketPort> ports;
  for (int i = 2; i < argc; ++i) {
    WEFT_ASSIGN_OR_RETURN(PacketPort port, PacketPort::Open(argv[i]));
    ports.push_back(std::move(port));
  }
  return DelaySwitch(micros * 1000, std::move(ports));
}

// A wire does not wait for a core that computes. Where that is not allowed, delays are longer while
// all cores do.
void RunBeforeOthers() {
  sched_param parameters{};
  parameters.sched_priority = sched_get_priority_min(SCHED_FIFO);
  if (sched_setscheduler(0, SCHED_FIFO, &parameters) == 0) return;
  std::cerr << "delay_switch: "
            << absl::ErrnoToStatus(errno, "going on without real-time scheduling").message()
            << '\n';
}

absl::Status Main(int argc, char** argv) {
  WEFT_ASSIGN_OR_RETURN(DelaySwitch delay_switch, Open(argc, argv));
  RunBeforeOthers();
  if (daemon(0, 0) != 0) return absl::ErrnoToStatus(errno, "going into the background failed");
  return delay_switch.Run();
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  const absl::Status status = weft::Main(argc, argv);
  std::cerr << "delay_switch: " << status.message() << '\n';
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}
