#include "launch/processes/rank_processes.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/poll_until.h"
#include "base/status_macros.h"
#include "comm/socket/rank_environment.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the program

namespace weft {
namespace {

constexpr int32_t kSignalBase = 128;
constexpr int kCannotStart = 127;

// Readable when the process has ended; -1 and errno otherwise. glibc 2.36 declares it for C alone.
int OpenProcess(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

std::vector<std::string> Environment(const RankProcessesOptions& options, int32_t rank) {
  std::vector<std::string> set = VariablesOf({rank, options.ranks, options.rendezvous});
  set.insert(set.end(), options.variables.begin(), options.variables.end());
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text(*variable);
    const size_t name = text.find('=') + 1;
    const bool replaced = std::any_of(set.begin(), set.end(), [&](const std::string& other) {
      return other.compare(0, name, text, 0, name) == 0;
    });
    if (!replaced) all.push_back(text);
  }
  all.insert(all.end(), set.begin(), set.end());
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What a child does between fork and its program: system calls alone. Its errno goes to
// `failure_fd`.
[[noreturn]] void Become(char* const* arguments, char* const* environment, pid_t parent,
                         int failure_fd) {
  sigset_t none;
  sigemptyset(&none);
  const int nothing = open("/dev/null", O_RDONLY);
  const bool ready = nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && setpgid(0, 0) == 0 &&
                     sigprocmask(SIG_SETMASK, &none, nullptr) == 0 &&
                     prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (nothing > STDIN_FILENO) close(nothing);
  if (getppid() != parent) _exit(kCannotStart);  // it has died before it could take us along
  if (ready) execve(arguments[0], arguments, environment);
  const int error = errno;
  const ssize_t told = write(failure_fd, &error, sizeof(error));
  _exit(told == sizeof(error) ? kCannotStart : kCannotStart + 1);
}

// The errno of a child that could not become the program; 0 when it has.
int FailureOf(const FileDescriptor& failures) {
  int error = 0;
  ssize_t size = 0;
  do {
    size = read(failures.get(), &error, sizeof(error));
  } while (size < 0 && errno == EINTR);
  return size == sizeof(error) ? error : 0;
}

}  // namespace

bool KilledBySignal(const RankEnd& end) { return end.status > kSignalBase; }

std::string Describe(const RankEnd& end) {
  if (!KilledBySignal(end)) {
    return absl::StrCat("rank ", end.rank, " ended with exit code ", end.status);
  }
  const int signal = end.status - kSignalBase;
  return absl::StrCat("rank ", end.rank, " was killed by signal ", signal, " (", strsignal(signal),
                      ")");
}

absl::StatusOr<std::unique_ptr<RankProcesses>> RankProcesses::Start(
    const RankProcessesOptions& options) {
  std::unique_ptr<RankProcesses> made(new RankProcesses());
  for (int32_t rank = 0; rank < options.ranks; ++rank) {
    WEFT_RETURN_IF_ERROR(made->StartOne(options, rank));
  }
  return made;
}

absl::Status RankProcesses::StartOne(const RankProcessesOptions& options, int32_t rank) {
  std::vector<std::string> arguments = options.command;
  std::vector<std::string> environment = Environment(options, rank);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const auto failed = [&](int error) {
    return absl::ErrnoToStatus(
        error, absl::StrCat("cannot start rank ", rank, " (", options.command.front(), ")"));
  };
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return failed(errno);
  const FileDescriptor failures(ends[0]);
  FileDescriptor failure_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return failed(errno);
  if (pid == 0) {
    Become(argument_pointers.data(), environment_pointers.data(), parent, failure_end.get());
  }
  failure_end.Close();
  if (const int error = FailureOf(failures); error != 0) {
    waitpid(pid, nullptr, 0);
    return failed(error);
  }
  running_.push_back({rank, pid, FileDescriptor(OpenProcess(pid))});
  return running_.back().alive.valid() ? absl::OkStatus() : failed(errno);
}

RankProcesses::~RankProcesses() {
  Kill();
  for (const Process& process : running_) waitpid(process.pid, nullptr, 0);
}

void RankProcesses::Wait(absl::Time until, int other_fd) {
  std::vector<pollfd> descriptors = {{other_fd, POLLIN, 0}};
  for (const Process& process : running_) descriptors.push_back({process.alive.get(), POLLIN, 0});
  PollUntil(descriptors, until);
  TakeEnded();
}

void RankProcesses::TakeEnded() {
  std::vector<RankEnd> ends;
  std::erase_if(running_, [&ends](const Process& process) {
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(process.pid), &info, WEXITED | WNOHANG | WNOWAIT);
    if (info.si_pid != process.pid) return false;
    kill(-process.pid, SIGKILL);  // while its number is still its own
    waitpid(process.pid, nullptr, 0);
    const int32_t base = info.si_code == CLD_EXITED ? 0 : kSignalBase;
    ends.push_back({process.rank, base + info.si_status});
    return true;
  });
  std::stable_partition(ends.begin(), ends.end(), KilledBySignal);
  ended_.insert(ended_.end(), ends.begin(), ends.end());
}

std::vector<int32_t> RankProcesses::running() const {
  std::vector<int32_t> ranks;
  ranks.reserve(running_.size());
  for (const Process& process : running_) ranks.push_back(process.rank);
  return ranks;
}

void RankProcesses::Signal(int signal) {
  for (const Process& process : running_) kill(process.pid, signal);
}

void RankProcesses::Kill() {
  for (const Process& process : running_) kill(-process.pid, SIGKILL);
}

}  // namespace weft
