#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tensor/kernels/decorated_kernels.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {

// Kernels that time what they pass on, by operation. Used by one thread at a time; read between
// steps.
class TimedKernels final : public DecoratedKernels {
 public:
  // `inner` outlives this.
  explicit TimedKernels(Kernels& inner) : DecoratedKernels(inner) {}

  struct Total {
    int64_t calls = 0;
    double seconds =
        0;  // processor time of the calling thread: neighbours on the machine do not count
  };
  const std::map<std::string, Total>& totals() const { return totals_; }
  double gemm_flops() const { return gemm_flops_; }
  void Reset();

  void Gemm(const GemmArgs& args) override;
  // One product after the other, each counted by Gemm: what kernels of the host do, too.
  void GroupedGemm(const GroupedGemmArgs& args) override { GemmOfEachGroup(*this, args); }
  void GroupedWgrad(const GroupedWgradArgs& args) override { WgradOfEachGroup(*this, args); }

 private:
  void Around(std::string_view name, absl::FunctionRef<void()> call) override;

  std::map<std::string, Total> totals_;
  double gemm_flops_ = 0;
};

}  // namespace weft
