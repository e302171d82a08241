#include "launch/commands/launch_signals.h"

#include <sys/signalfd.h>

#include <cerrno>

namespace weft {

LaunchSignals::LaunchSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, &before_);
  fd_ = FileDescriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_.valid()) status_ = absl::ErrnoToStatus(errno, "cannot take signals");
}

LaunchSignals::~LaunchSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

int LaunchSignals::TakeRequests() {
  int requests = 0;
  signalfd_siginfo info;
  while (read(fd_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo != SIGCHLD) ++requests;
  }
  return requests;
}

}  // namespace weft
