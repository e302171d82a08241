#include "base/thread_priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft {

void SetOwnNice(int level) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), level);
}

}  // namespace weft
