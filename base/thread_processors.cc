#include "base/thread_processors.h"

#include <sched.h>

namespace weft {

std::vector<int32_t> OwnProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int32_t> processors;
  for (int32_t i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<size_t>(i), &set)) processors.push_back(i);
  }
  return processors;
}

bool SetOwnProcessors(std::span<const int32_t> processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int32_t i : processors) CPU_SET(static_cast<size_t>(i), &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

}  // namespace weft
