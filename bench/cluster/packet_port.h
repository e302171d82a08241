#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace weft {

// One network device as a port of a switch that is a process: takes every frame that arrives at the
// device and sends frames out of it, through its traffic shaping. Frames go through whole: what the
// sender's kernel left for later (checksums, cutting into packets of the wire's size) stays left
// for later, as through a bridge.
//
// A packet socket: when the process dies, nothing of it remains. Not thread-safe.
class PacketPort {
 public:
  // `device` is one of the network namespace of the process and must be up. Fails with the system's
  // words, without root as well.
  static absl::StatusOr<PacketPort> Open(const std::string& device);

  // The next frame that has arrived, opaque except for its Ethernet header; false: none is there.
  // `arrival_nanos`: when the kernel got it, on the monotonic clock. Never waits.
  absl::StatusOr<bool> Receive(std::string* frame, int64_t* arrival_nanos);

  // Sends what Receive() of any port has given. False: the device has enough to send, try again
  // when the socket is writable. A frame is lost only when the kernel has no memory. Never waits.
  absl::StatusOr<bool> Send(const std::string& frame);

  // For poll().
  int fd() const { return socket_.get(); }

 private:
  PacketPort(std::string device, FileDescriptor socket)
      : device_(std::move(device)), socket_(std::move(socket)) {}

  std::string device_;
  FileDescriptor socket_;
};

// What stands in the Ethernet header of a frame of a PacketPort.
uint64_t DestinationOf(const std::string& frame);
uint64_t SourceOf(const std::string& frame);
// Broadcast included.
bool IsMulticast(uint64_t address);

}  // namespace weft
