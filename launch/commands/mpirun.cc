#include "launch/commands/mpirun.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "launch/commands/launch_signals.h"
#include "launch/control/run_files.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the program

namespace weft {
namespace {

constexpr absl::Duration kForceGrace = absl::Seconds(10);  // from SIGTERM to mpirun until SIGKILL

std::vector<std::string> Environment(const LaunchOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  const auto set = [&variables](const std::string& name, const std::string& value) {
    std::erase_if(variables, [prefix = name + "="](const std::string& variable) {
      return variable.compare(0, prefix.size(), prefix) == 0;
    });
    variables.push_back(absl::StrCat(name, "=", value));
  };
  set(kLaunchDirectoryVariable, options.launch_directory);
  if (geteuid() == 0) {
    set("OMPI_ALLOW_RUN_AS_ROOT", "1");
    set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<pid_t> Spawn(const LaunchOptions& options, int stderr_fd) {
  std::vector<std::string> arguments = MpirunArguments(options);
  std::vector<std::string> environment = Environment(options);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, stderr_fd, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: the terminal's Ctrl-C reaches the launcher alone. With an open signal mask.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, arguments[0].c_str(), &files, &attributes,
                                 Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == 0) return pid;
  return absl::NotFoundError(absl::StrCat(
      "cannot start mpirun: ", std::string(absl::ErrnoToStatus(error, "posix_spawn").message())));
}

// One running mpirun: waits for it, its words and our signals.
class Wait {
 public:
  Wait(pid_t pid, int words_fd, LaunchSignals& signals, absl::Duration grace)
      : pid_(pid), words_fd_(words_fd), signals_(signals), grace_(grace) {}

  RanksEnd UntilEnded() {
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) != pid_) {
      std::array<pollfd, 2> events = {pollfd{signals_.fd(), POLLIN, 0},
                                      pollfd{words_open_ ? words_fd_ : -1, POLLIN, 0}};
      poll(events.data(), events.size(), MillisToDeadline());
      if (events[0].revents != 0) TakeSignals();
      if (events[1].revents != 0) PassWordsOn();
      if (deadline_.has_value() && MillisToDeadline() == 0) Escalate();
    }
    PassWordsOn();
    RanksEnd end;
    end.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    end.rank = words_.rank();
    end.stop_requested = stage_ != Stage::kRunning;
    end.forced = stage_ > Stage::kAsked;
    return end;
  }

 private:
  enum class Stage { kRunning, kAsked, kTerminated, kKilled };

  int MillisToDeadline() const {
    if (!deadline_.has_value()) return -1;
    const int64_t left = *deadline_ - MonotonicClock().NowNanos();
    return static_cast<int>(std::clamp<int64_t>((left + 999'999) / 1'000'000, 0, 1'000'000));
  }

  void SetDeadline(absl::Duration after) {
    deadline_ = MonotonicClock().NowNanos() + absl::ToInt64Nanoseconds(after);
  }

  void Escalate() {
    switch (stage_) {
      case Stage::kRunning:
        LogInfo("asked all ranks to write a checkpoint and end; another signal ends them by force");
        kill(pid_, SIGUSR1);
        SetDeadline(grace_);
        stage_ = Stage::kAsked;
        break;
      case Stage::kAsked:
        LogWarning("ending all ranks by force");
        kill(pid_, SIGTERM);
        SetDeadline(kForceGrace);
        stage_ = Stage::kTerminated;
        break;
      default:
        kill(-pid_, SIGKILL);
        deadline_.reset();
        stage_ = Stage::kKilled;
    }
  }

  void TakeSignals() {
    for (int requests = signals_.TakeRequests(); requests > 0; --requests) Escalate();
  }

  void PassWordsOn() {
    std::array<char, 4096> buffer;
    ssize_t size = 0;
    while ((size = read(words_fd_, buffer.data(), buffer.size())) > 0) {
      const std::string chunk(buffer.data(), static_cast<size_t>(size));
      words_.Read(chunk);
      std::fwrite(chunk.data(), 1, chunk.size(), stderr);
    }
    if (size == 0) words_open_ = false;
  }

  const pid_t pid_;
  const int words_fd_;
  LaunchSignals& signals_;
  const absl::Duration grace_;
  bool words_open_ = true;
  MpirunWords words_;
  Stage stage_ = Stage::kRunning;
  std::optional<int64_t> deadline_;  // of the present stage
};

}  // namespace

void MpirunWords::Read(const std::string& chunk) {
  for (const char c : chunk) {
    if (c != '\n') {
      line_ += c;
      continue;
    }
    ReadLine(line_);
    line_.clear();
  }
}

void MpirunWords::ReadLine(const std::string& line) {
  int rank = -1;
  const bool named = std::sscanf(line.c_str(), "mpirun noticed that process rank %d", &rank) == 1 ||
                     std::sscanf(line.c_str(), "MPI_ABORT was invoked on rank %d", &rank) == 1 ||
                     std::sscanf(line.c_str(), " Process name: [[%*d,%*d],%d]", &rank) == 1;
  if (named && rank_ < 0) rank_ = rank;
}

std::vector<std::string> MpirunArguments(const LaunchOptions& options) {
  std::vector<std::string> arguments = {"mpirun",
                                        "--oversubscribe",
                                        "--bind-to",
                                        "none",
                                        "--mca",
                                        "mpi_yield_when_idle",
                                        "1",
                                        "-x",
                                        kLaunchDirectoryVariable,
                                        "-n",
                                        absl::StrCat(options.ranks)};
  arguments.insert(arguments.end(), options.command.begin(), options.command.end());
  return arguments;
}

absl::StatusOr<RanksEnd> RunMpirun(const LaunchOptions& options) {
  LaunchSignals signals;
  WEFT_RETURN_IF_ERROR(signals.status());
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot watch mpirun");
  const FileDescriptor words(ends[0]);
  FileDescriptor child_stderr(ends[1]);
  fcntl(words.get(), F_SETFL, O_NONBLOCK);
  WEFT_ASSIGN_OR_RETURN(const pid_t pid, Spawn(options, child_stderr.get()));
  child_stderr.Close();
  RanksEnd end = Wait(pid, words.get(), signals, options.grace).UntilEnded();
  if (options.ranks == 1) end.rank = 0;  // mpirun does not say who when there is one
  return end;
}

}  // namespace weft
