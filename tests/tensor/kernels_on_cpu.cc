#include "absl/strings/str_cat.h"
#include "tensor/kernels/cpu/cpu_kernels.h"
#include "tensor/kernels/cpu/loops/select.h"
#include "tensor/kernels/mixed_kernels.h"
#include "tests/tensor/kernels_support.h"

namespace weft {

std::vector<Implementation> Implementations() {
  std::vector<Implementation> out;
  for (const Loops* loops : RunnableLoops()) {
    out.push_back({absl::StrCat("cpu_", loops->name),
                   [loops]() -> std::unique_ptr<Kernels> {
                     return std::make_unique<MixedKernels>(std::make_unique<CpuKernels>(*loops));
                   },
                   ""});
  }
  out.push_back({"cpu_bf16", MakeCpuKernels, "", DType::kBF16});
  return out;
}

}  // namespace weft
