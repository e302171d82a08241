#include "absl/strings/str_cat.h"
#include "tensor/kernels/cpu/cpu_kernels.h"
#include "tensor/kernels/cpu/loops/select.h"
#include "tests/tensor/kernels_support.h"

namespace weft {

std::vector<Implementation> Implementations() {
  std::vector<Implementation> out;
  for (const Loops* loops : RunnableLoops()) {
    out.push_back(
        {absl::StrCat("cpu_", loops->name),
         [loops]() -> std::unique_ptr<Kernels> { return std::make_unique<CpuKernels>(*loops); },
         ""});
  }
  return out;
}

}  // namespace weft
