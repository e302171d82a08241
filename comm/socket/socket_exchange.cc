#include "comm/socket/socket_exchange.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/poll_until.h"
#include "base/status_macros.h"

namespace weft {
namespace {

constexpr auto kHeaderBytes = static_cast<int64_t>(sizeof(MessageHeader));

bool NothingNow(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

SocketExchange::SocketExchange(Group group, int communicator)
    : group_(std::move(group)),
      communicator_(communicator),
      sent_(static_cast<size_t>(group_.size())),
      received_(static_cast<size_t>(group_.size())) {}

absl::Status SocketExchange::Run(std::span<const Outgoing> out, std::span<const Incoming> in) {
  const absl::Time until = absl::Now() + group_.deadline;
  WEFT_RETURN_IF_ERROR(end_.status());
  Begin(out, in);
  while (!sending_.empty() || !receiving_.empty()) {
    const absl::StatusOr<bool> moved = MoveReady();
    if (!moved.ok()) {
      end_.Fail(moved.status());
    } else if (!*moved && !Await(until)) {
      end_.Fail(Late());
    }
    WEFT_RETURN_IF_ERROR(end_.status());
  }
  return absl::OkStatus();
}

void SocketExchange::Begin(std::span<const Outgoing> out, std::span<const Incoming> in) {
  sending_.clear();
  receiving_.clear();
  for (const Outgoing& message : out) {
    MessageHeader header;
    header.communicator = communicator_;
    header.sequence = sent_[static_cast<size_t>(message.peer)]++;
    header.bytes = message.bytes;
    sending_.push_back({message, header, 0, true});
  }
  for (const Incoming& message : in) receiving_.push_back({message, {}, 0, true});
}

absl::StatusOr<bool> SocketExchange::MoveReady() {
  bool any = false;
  const auto move_all = [&](auto& messages) -> absl::Status {
    for (size_t i = 0; i < messages.size();) {
      bool over = false;
      if (messages[i].ready) {
        any = true;
        WEFT_ASSIGN_OR_RETURN(over, Move(messages[i]));
      }
      if (over) {
        messages[i] = messages.back();
        messages.pop_back();
      } else {
        ++i;
      }
    }
    return absl::OkStatus();
  };
  WEFT_RETURN_IF_ERROR(move_all(sending_));
  WEFT_RETURN_IF_ERROR(move_all(receiving_));
  return any;
}

absl::StatusOr<bool> SocketExchange::Move(Sending& sending) {
  const int64_t total = kHeaderBytes + sending.message.bytes;
  while (sending.done < total) {
    std::array<iovec, 2> parts{};
    size_t count = 0;
    if (sending.done < kHeaderBytes) {
      parts[count++] = {reinterpret_cast<char*>(&sending.header) + sending.done,
                        static_cast<size_t>(kHeaderBytes - sending.done)};
    }
    const int64_t begin = std::max<int64_t>(sending.done - kHeaderBytes, 0);
    if (begin < sending.message.bytes) {
      // sendmsg only reads.
      char* data = static_cast<char*>(const_cast<void*>(sending.message.data)) + begin;
      parts[count++] = {data, static_cast<size_t>(sending.message.bytes - begin)};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const int fd = connections_[static_cast<size_t>(sending.message.peer)].get();
    const ssize_t moved = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (moved < 0) {
      if (!NothingNow(errno)) return Gone(sending.message.peer, errno);
      sending.ready = false;
      return false;
    }
    sending.done += moved;
  }
  return true;
}

absl::StatusOr<bool> SocketExchange::Move(Receiving& receiving) {
  const int peer = receiving.message.peer;
  const int fd = connections_[static_cast<size_t>(peer)].get();
  while (receiving.done < kHeaderBytes + receiving.message.bytes) {
    const int64_t begin = receiving.done - kHeaderBytes;
    const bool in_header = begin < 0;
    char* to = in_header ? reinterpret_cast<char*>(&receiving.header) + receiving.done
                         : static_cast<char*>(receiving.message.data) + begin;
    const int64_t left = in_header ? -begin : receiving.message.bytes - begin;
    const ssize_t moved = recv(fd, to, static_cast<size_t>(left), MSG_DONTWAIT);
    if (moved == 0) return Gone(peer, 0);
    if (moved < 0) {
      if (!NothingNow(errno)) return Gone(peer, errno);
      receiving.ready = false;
      return false;
    }
    receiving.done += moved;
    if (in_header && receiving.done == kHeaderBytes) WEFT_RETURN_IF_ERROR(CheckHeader(receiving));
  }
  ++received_[static_cast<size_t>(peer)];
  return true;
}

absl::Status SocketExchange::CheckHeader(const Receiving& receiving) const {
  const int peer = receiving.message.peer;
  const MessageHeader& header = receiving.header;
  if (header.magic != kWireMagic || header.communicator != communicator_ ||
      header.sequence != received_[static_cast<size_t>(peer)]) {
    return absl::InternalError(absl::StrCat("rank ", group_.global(peer).value,
                                            " sends bytes that are not the next message of this "
                                            "group"));
  }
  if (header.bytes == receiving.message.bytes) return absl::OkStatus();
  return SizeMismatchError(group_, peer, header.bytes, receiving.message.bytes);
}

bool SocketExchange::Await(absl::Time until) {
  polled_.clear();
  polled_.push_back({end_.fd(), POLLIN, 0});
  const auto add = [this](int peer, int16_t event) {
    polled_.push_back({connections_[static_cast<size_t>(peer)].get(), event, 0});
  };
  for (const Sending& sending : sending_) add(sending.message.peer, POLLOUT);
  for (const Receiving& receiving : receiving_) add(receiving.message.peer, POLLIN);
  if (!PollUntil(polled_, until)) return false;
  auto looked_at = polled_.begin() + 1;
  for (Sending& sending : sending_) sending.ready = (looked_at++)->revents != 0;
  for (Receiving& receiving : receiving_) receiving.ready = (looked_at++)->revents != 0;
  return true;
}

absl::Status SocketExchange::Late() const {
  std::vector<int> missing;
  for (const Receiving& receiving : receiving_) missing.push_back(receiving.message.peer);
  if (missing.empty()) {
    for (const Sending& sending : sending_) missing.push_back(sending.message.peer);
  }
  std::sort(missing.begin(), missing.end());
  return MissingMembersError(group_, missing);
}

absl::Status SocketExchange::Gone(int peer, int error) const {
  const bool closed = error == 0 || error == EPIPE || error == ECONNRESET;
  return absl::UnavailableError(
      absl::StrCat("rank ", group_.global(peer).value,
                   closed ? " has closed its connection" : " cannot be reached: ",
                   closed ? "" : std::strerror(error)));
}

}  // namespace weft
