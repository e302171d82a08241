#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/file_descriptor.h"
#include "comm/exchange.h"
#include "comm/group.h"
#include "comm/socket/wait_end.h"
#include "comm/socket/wire.h"

namespace weft {

// One group's wires: a connection to every other member that carries nothing of any other group.
// The thread that calls Run moves all bytes itself, both ways at once, straight between the
// callers' buffers and the kernel's: whoever sends to everybody receives from everybody meanwhile,
// so that full buffers on both sides stop nobody. Between calls nothing runs.
class SocketExchange final : public Exchange {
 public:
  SocketExchange(Group group, int communicator);

  // Ends waits for this group's members, also those of its Connect.
  WaitEnd& end() { return end_; }
  // connections[m] leads to member m; this rank's own is none. Before the first Run.
  void Take(std::vector<FileDescriptor> connections) { connections_ = std::move(connections); }

  absl::Status Run(std::span<const Outgoing> out, std::span<const Incoming> in) override;
  absl::Status Health() const override { return end_.status(); }
  void Abort(const absl::Status& cause) override { end_.Fail(AbortedBy(cause)); }

 private:
  struct Sending {
    Outgoing message;
    MessageHeader header;
    int64_t done;  // of header and bytes together
    bool ready;    // the last look found room
  };
  struct Receiving {
    Incoming message;
    MessageHeader header;
    int64_t done;
    bool ready;
  };

  void Begin(std::span<const Outgoing> out, std::span<const Incoming> in);
  // Moves all that can be moved now. True when something was ready.
  absl::StatusOr<bool> MoveReady();
  // Moves bytes of one message until it is over or the kernel has no more; true: over.
  absl::StatusOr<bool> Move(Sending& sending);
  absl::StatusOr<bool> Move(Receiving& receiving);
  absl::Status CheckHeader(const Receiving& receiving) const;
  // Blocks until something is ready or the wait has an end. False: `until` has passed.
  bool Await(absl::Time until);
  absl::Status Late() const;
  absl::Status Gone(int peer, int error) const;

  const Group group_;
  const int communicator_;
  WaitEnd end_;
  std::vector<FileDescriptor> connections_;  // by member
  std::vector<uint64_t> sent_, received_;    // messages, by member
  std::vector<Sending> sending_;
  std::vector<Receiving> receiving_;
  std::vector<pollfd> polled_;
};

}  // namespace weft
