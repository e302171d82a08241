#include "bench/timed_kernels.h"

#include "base/thread_clock.h"

namespace weft {

void TimedKernels::Around(std::string_view name, absl::FunctionRef<void()> call) {
  const double begin = ThreadSeconds();
  call();
  Total& total = totals_[std::string(name)];
  total.seconds += ThreadSeconds() - begin;
  ++total.calls;
}

void TimedKernels::Reset() {
  totals_.clear();
  gemm_flops_ = 0;
}

void TimedKernels::Gemm(const GemmArgs& args) {
  const int64_t depth = args.transpose_a ? args.a.dim(0) : args.a.dim(1);
  gemm_flops_ += 2.0 * static_cast<double>(args.c.elements()) * static_cast<double>(depth);
  DecoratedKernels::Gemm(args);
}

}  // namespace weft
