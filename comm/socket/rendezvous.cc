#include "comm/socket/rendezvous.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/poll_until.h"
#include "base/status_macros.h"

namespace weft {
namespace {

constexpr int kSocketFlags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rendezvous directory's name is too long: ", path, " has ", path.size(),
                     " characters and a socket's may have ", sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* Pointer(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

absl::Status Failed(int error, const std::string& what) { return absl::ErrnoToStatus(error, what); }

// A greeting fits any empty socket buffer: it is sent whole or the other side is gone.
bool Greet(const FileDescriptor& connection, const Greeting& greeting) {
  return send(connection.get(), &greeting, sizeof(greeting), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof(greeting));
}

enum class Heard { kPart, kWhole, kGone };

Heard Hear(const FileDescriptor& connection, Greeting& greeting, size_t& bytes) {
  while (bytes < sizeof(greeting)) {
    const ssize_t moved = recv(connection.get(), reinterpret_cast<char*>(&greeting) + bytes,
                               sizeof(greeting) - bytes, MSG_DONTWAIT);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Heard::kPart;
    if (moved <= 0) return Heard::kGone;
    bytes += static_cast<size_t>(moved);
  }
  return Heard::kWhole;
}

}  // namespace

// One Meet.
class Rendezvous::Meeting {
 public:
  Meeting(Rendezvous& host, int communicator, const Group& group, const WaitEnd& end)
      : host_(host),
        communicator_(communicator),
        group_(group),
        end_(end),
        arrived_(static_cast<size_t>(group.size())),
        dialed_(static_cast<size_t>(group.me)) {}

  absl::StatusOr<std::vector<FileDescriptor>> UntilAllHaveCome() {
    const absl::Time until = absl::Now() + group_.deadline;
    for (int member = group_.me + 1; member < group_.size(); ++member) {
      const auto early = host_.early_.find({communicator_, group_.global(member).value});
      if (early == host_.early_.end()) continue;
      arrived_[static_cast<size_t>(member)] = std::move(early->second);
      host_.early_.erase(early);
    }
    for (;;) {
      WEFT_RETURN_IF_ERROR(end_.status());
      WEFT_RETURN_IF_ERROR(Dial());
      WEFT_RETURN_IF_ERROR(HearDialed());
      WEFT_RETURN_IF_ERROR(Accept());
      WEFT_RETURN_IF_ERROR(HearGuests());
      const std::vector<int> missing = Missing();
      if (missing.empty()) return std::move(arrived_);
      if (!Await(until)) return MissingMembersError(group_, missing);
    }
  }

 private:
  std::vector<int> Missing() const {
    std::vector<int> missing;
    for (int member = 0; member < group_.size(); ++member) {
      if (member != group_.me && !arrived_[static_cast<size_t>(member)].valid()) {
        missing.push_back(member);
      }
    }
    return missing;
  }

  Greeting GreetingTo(int rank) const {
    Greeting greeting;
    greeting.world_size = host_.world_size();
    greeting.from = host_.rank();
    greeting.to = rank;
    greeting.communicator = communicator_;
    return greeting;
  }

  absl::Status OtherWorld(int rank, int world_size) const {
    return absl::FailedPreconditionError(absl::StrCat(
        "rank ", rank, " in ", host_.environment_.rendezvous, " belongs to a world of ", world_size,
        " ranks, rank ", host_.rank(), " to one of ", host_.world_size()));
  }

  // Goes to the lower members that listen by now.
  absl::Status Dial() {
    // Changes from here on wake the next wait.
    std::array<char, 4096> events;
    while (read(host_.changes_.get(), events.data(), events.size()) > 0) {
    }
    for (int member = 0; member < group_.me; ++member) {
      const auto m = static_cast<size_t>(member);
      if (dialed_[m].connection.valid() || arrived_[m].valid()) continue;
      WEFT_RETURN_IF_ERROR(Dial(group_.global(member).value, dialed_[m]));
    }
    return absl::OkStatus();
  }

  absl::Status Dial(int rank, Guest& dialed) {
    const std::string path = host_.PathOf(rank, "sock");
    WEFT_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
    FileDescriptor connection(socket(AF_UNIX, kSocketFlags, 0));
    if (!connection.valid()) return Failed(errno, "a socket for another rank");
    if (connect(connection.get(), Pointer(address), sizeof(address)) != 0) {
      const bool not_there_yet = errno == ENOENT || errno == ECONNREFUSED;
      return not_there_yet ? absl::OkStatus() : Failed(errno, absl::StrCat("connect to ", path));
    }
    if (!Greet(connection, GreetingTo(rank))) return Gone(rank);
    dialed.connection = std::move(connection);
    return absl::OkStatus();
  }

  absl::Status HearDialed() {
    for (size_t m = 0; m < dialed_.size(); ++m) {
      Guest& dialed = dialed_[m];
      if (!dialed.connection.valid()) continue;
      const int rank = group_.global(static_cast<int>(m)).value;
      const Heard heard = Hear(dialed.connection, dialed.greeting, dialed.bytes);
      if (heard == Heard::kGone) return Gone(rank);
      if (heard == Heard::kPart) continue;
      const Greeting& greeting = dialed.greeting;
      if (greeting.magic != kWireMagic || greeting.from != rank || greeting.to != host_.rank() ||
          greeting.communicator != communicator_) {
        return absl::InternalError(
            absl::StrCat(host_.PathOf(rank, "sock"), " does not answer as rank ", rank, " would"));
      }
      if (greeting.world_size != host_.world_size()) return OtherWorld(rank, greeting.world_size);
      arrived_[m] = std::move(dialed.connection);
    }
    return absl::OkStatus();
  }

  static absl::Status Gone(int rank) {
    return absl::UnavailableError(absl::StrCat("rank ", rank, " has closed its connection"));
  }

  absl::Status Accept() {
    for (;;) {
      FileDescriptor connection(
          accept4(host_.listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection.valid()) {
        host_.guests_.push_back({std::move(connection), {}, 0});
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return absl::OkStatus();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return Failed(errno, "accepting the connection of another rank");
      }
    }
  }

  absl::Status HearGuests() {
    std::vector<Guest>& guests = host_.guests_;
    for (size_t i = 0; i < guests.size();) {
      const Heard heard = Hear(guests[i].connection, guests[i].greeting, guests[i].bytes);
      if (heard == Heard::kPart) {
        ++i;
        continue;
      }
      Guest guest = std::move(guests[i]);
      guests.erase(guests.begin() + static_cast<std::ptrdiff_t>(i));
      if (heard == Heard::kWhole) {
        WEFT_RETURN_IF_ERROR(Welcome(std::move(guest)));
      } else if (guest.bytes > 0) {
        LogWarning("somebody who left in the middle of a greeting was not taken for a rank");
      }
    }
    return absl::OkStatus();
  }

  absl::Status Welcome(Guest guest) {
    const Greeting& greeting = guest.greeting;
    const int from = greeting.from;
    if (greeting.magic != kWireMagic || greeting.to != host_.rank() || from <= host_.rank()) {
      LogWarning("a connection that does not greet as a higher rank was closed");
      return absl::OkStatus();
    }
    // Answered before it is judged, so that both sides know why.
    Greeting answer = GreetingTo(from);
    answer.communicator = greeting.communicator;
    const bool answered = Greet(guest.connection, answer);
    if (greeting.world_size != host_.world_size()) return OtherWorld(from, greeting.world_size);
    if (!answered) return Gone(from);
    if (greeting.communicator > communicator_) {
      host_.early_[{greeting.communicator, from}] = std::move(guest.connection);
      return absl::OkStatus();
    }
    const auto member = std::find(group_.ranks.begin(), group_.ranks.end(), RankId{from});
    const auto m = static_cast<size_t>(member - group_.ranks.begin());
    if (greeting.communicator < communicator_ || member == group_.ranks.end() ||
        arrived_[m].valid()) {
      LogWarning(absl::StrCat("a second connection of rank ", from, " for group ",
                              greeting.communicator, " was closed"));
      return absl::OkStatus();
    }
    arrived_[m] = std::move(guest.connection);
    return absl::OkStatus();
  }

  bool Await(absl::Time until) {
    std::vector<pollfd> descriptors = {{end_.fd(), POLLIN, 0},
                                       {host_.listener_.get(), POLLIN, 0},
                                       {host_.changes_.get(), POLLIN, 0}};
    for (const Guest& guest : host_.guests_) {
      descriptors.push_back({guest.connection.get(), POLLIN, 0});
    }
    for (const Guest& dialed : dialed_) {
      if (dialed.connection.valid()) descriptors.push_back({dialed.connection.get(), POLLIN, 0});
    }
    return PollUntil(descriptors, until);
  }

  Rendezvous& host_;
  const int communicator_;
  const Group& group_;
  const WaitEnd& end_;
  std::vector<FileDescriptor> arrived_;  // by member
  std::vector<Guest> dialed_;            // by lower member
};

absl::StatusOr<std::unique_ptr<Rendezvous>> Rendezvous::Open(const RankEnvironment& environment) {
  std::unique_ptr<Rendezvous> made(new Rendezvous(environment));
  WEFT_RETURN_IF_ERROR(made->CheckDirectory());
  WEFT_RETURN_IF_ERROR(made->Lock());
  WEFT_RETURN_IF_ERROR(made->Listen());
  return made;
}

Rendezvous::~Rendezvous() {
  if (listener_.valid()) unlink(PathOf(rank(), "sock").c_str());
}

std::string Rendezvous::PathOf(int rank, const char* suffix) const {
  return absl::StrCat(environment_.rendezvous, "/rank-", rank, ".", suffix);
}

absl::Status Rendezvous::CheckDirectory() const {
  const std::string& path = environment_.rendezvous;
  const std::string name = absl::StrCat("the rendezvous directory ", path);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return Failed(errno, name);
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is not a directory"));
  }
  if (info.st_uid != geteuid() || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(name, " must belong to this user alone (mkdir -m 700)"));
  }
  return absl::OkStatus();
}

absl::Status Rendezvous::Lock() {
  const std::string path = PathOf(rank(), "lock");
  lock_ = FileDescriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid()) return Failed(errno, absl::StrCat("open ", path));
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Failed(errno, absl::StrCat("lock ", path));
    std::array<char, 32> pid{};
    const ssize_t size = pread(lock_.get(), pid.data(), pid.size() - 1, 0);
    return absl::FailedPreconditionError(
        absl::StrCat("rank ", rank(), " runs in ", environment_.rendezvous, " already",
                     size > 0 ? absl::StrCat(" (process ", pid.data(), ")") : ""));
  }
  const std::string pid = absl::StrCat(getpid());
  if (ftruncate(lock_.get(), 0) != 0 ||
      pwrite(lock_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return Failed(errno, absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

absl::Status Rendezvous::Listen() {
  changes_ = FileDescriptor(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes_.valid() ||
      inotify_add_watch(changes_.get(), environment_.rendezvous.c_str(), IN_MOVED_TO) < 0) {
    return Failed(errno, absl::StrCat("watching ", environment_.rendezvous));
  }
  const std::string path = PathOf(rank(), "sock");
  const std::string unready = PathOf(rank(), "new");
  WEFT_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(unready));
  WEFT_RETURN_IF_ERROR(AddressOf(path).status());
  FileDescriptor listener(socket(AF_UNIX, kSocketFlags, 0));
  if (!listener.valid()) return Failed(errno, "a socket to listen on");
  unlink(unready.c_str());
  if (bind(listener.get(), Pointer(address), sizeof(address)) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0 || std::rename(unready.c_str(), path.c_str()) != 0) {
    return Failed(errno, absl::StrCat("listening on ", path));
  }
  listener_ = std::move(listener);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileDescriptor>> Rendezvous::Meet(int communicator, const Group& group,
                                                             const WaitEnd& end) {
  return Meeting(*this, communicator, group, end).UntilAllHaveCome();
}

}  // namespace weft
