#include "tests/support/shuffle_order.h"

#include <cstddef>
#include <vector>

#include "base/random.h"

namespace weft {

Plan ShuffleOrder(const StepGraph& graph, const Plan& plan, uint64_t seed) {
  const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
  std::vector<std::vector<size_t>> unblocks(needs.size());
  std::vector<size_t> missing(needs.size());
  std::vector<size_t> ready;
  for (size_t i = 0; i < needs.size(); ++i) {
    missing[i] = needs[i].size();
    for (const int32_t need : needs[i]) unblocks[static_cast<size_t>(need)].push_back(i);
    if (needs[i].empty()) ready.push_back(i);
  }
  const CounterRng rng(seed, "shuffle");
  Plan shuffled = plan;
  shuffled.tasks.clear();
  while (!ready.empty()) {
    const size_t pick = rng.Bits(shuffled.tasks.size()) % ready.size();
    const size_t task = ready[pick];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(pick));
    shuffled.tasks.push_back(plan.tasks[task]);
    for (const size_t next : unblocks[task]) {
      if (--missing[next] == 0) ready.push_back(next);
    }
  }
  return shuffled;
}

}  // namespace weft
