#include "base/thread_priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft {

void SetOwnNice(int level) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), level);
}

void SetOwnSlice(int64_t nanos) {
  // As the kernel lays it out (sched_setattr(2)); not every C library has it.
  struct {
    uint32_t size = 48, policy = SCHED_OTHER;
    uint64_t flags = 0;
    int32_t nice = 0;
    uint32_t priority = 0;
    uint64_t runtime = 0, deadline = 0, period = 0;
  } attributes;
  attributes.nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
  attributes.runtime = static_cast<uint64_t>(nanos);
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace weft
