#include "bench/cluster/packet_port.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace weft {
namespace {

// In front of every frame, what is left to do with it: a virtio_net_hdr, whose header is none for
// C++.
constexpr size_t kOffloadBytes = 10;
constexpr size_t kLongestFrame = kOffloadBytes + ETH_HLEN + (1 << 16);

// What may wait in the kernel. Arriving: all that comes while the process is kept from its core.
// Leaving: less than the queues of bench/cluster/up.sh hold, so that a full device is waited for,
// not lost at.
constexpr int kReceiveBytes = 64 << 20;
constexpr int kSendBytes = 4 << 20;

absl::Status SystemError(const std::string& what, const std::string& device) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " on network device '", device, "' failed"));
}

bool SetOption(int socket, int level, int name, int value) {
  return setsockopt(socket, level, name, &value, sizeof(value)) == 0;
}

int64_t NanosOf(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_nsec};
}

// The kernel stamps by the clock of the day.
int64_t ToMonotonic(int64_t day_nanos) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return MonotonicClock().NowNanos() - std::max<int64_t>(0, NanosOf(now) - day_nanos);
}

uint64_t AddressAt(const std::string& frame, size_t offset) {
  uint64_t address = 0;
  for (size_t i = 0; i < ETH_ALEN; ++i) {
    address = address << 8 | static_cast<uint8_t>(frame[kOffloadBytes + offset + i]);
  }
  return address;
}

}  // namespace

absl::StatusOr<PacketPort> PacketPort::Open(const std::string& device) {
  const unsigned int index = if_nametoindex(device.c_str());
  if (index == 0) return SystemError("looking for an interface", device);
  // Takes nothing before it is bound.
  FileDescriptor fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return SystemError("opening a packet socket", device);
  if (!SetOption(fd.get(), SOL_PACKET, PACKET_VNET_HDR, 1) ||
      !SetOption(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) ||
      !SetOption(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1) ||
      !SetOption(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBytes) ||
      !SetOption(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kSendBytes)) {
    return SystemError("setting up a packet socket", device);
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("binding a packet socket", device);
  }
  return PacketPort(device, std::move(fd));
}

absl::StatusOr<bool> PacketPort::Receive(std::string* frame, int64_t* arrival_nanos) {
  static std::array<char, kLongestFrame> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(timespec))> control;
  iovec span{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &span;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket_.get(), &message, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got < 0) return SystemError("receiving", device_);
  if (static_cast<size_t>(got) < kOffloadBytes + ETH_HLEN || (message.msg_flags & MSG_TRUNC) != 0) {
    return absl::InternalError(
        absl::StrCat("a frame of ", got, " bytes on network device '", device_, "' is not one"));
  }
  frame->assign(bytes.data(), static_cast<size_t>(got));
  *arrival_nanos = MonotonicClock().NowNanos();
  const cmsghdr* stamp = CMSG_FIRSTHDR(&message);
  if (stamp != nullptr && stamp->cmsg_type == SCM_TIMESTAMPNS) {
    timespec time{};
    std::memcpy(&time, CMSG_DATA(stamp), sizeof(time));
    *arrival_nanos = ToMonotonic(NanosOf(time));
  }
  return true;
}

absl::StatusOr<bool> PacketPort::Send(const std::string& frame) {
  if (send(socket_.get(), frame.data(), frame.size(), 0) >= 0) return true;
  if (errno == ENOBUFS) return true;  // no memory: lost, as in any switch
  if (errno == EAGAIN || errno == EINTR) return false;
  return SystemError("sending", device_);
}

uint64_t DestinationOf(const std::string& frame) { return AddressAt(frame, 0); }

uint64_t SourceOf(const std::string& frame) { return AddressAt(frame, ETH_ALEN); }

bool IsMulticast(uint64_t address) { return (address >> 40 & 1) != 0; }

}  // namespace weft
