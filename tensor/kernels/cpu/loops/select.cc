#include "tensor/kernels/cpu/loops/select.h"

namespace weft {

namespace x86_64_v4 {
const Loops& Table();
}
namespace x86_64_v3 {
const Loops& Table();
}
namespace x86_64_v1 {
const Loops& Table();
}

// A table the processor cannot run is never asked for: making it could already use instructions the
// processor lacks.
std::vector<const Loops*> RunnableLoops() {
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  std::vector<const Loops*> tables;
  if (v4) tables.push_back(&x86_64_v4::Table());
  if (v3) tables.push_back(&x86_64_v3::Table());
  tables.push_back(&x86_64_v1::Table());
  return tables;
}

}  // namespace weft
