#include "tensor/kernels/cuda/cuda_products.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tensor/kernels/cuda/gemm.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {

CudaProducts::CudaProducts(CudaQueue& queue, Memory& memory, CublasLt* library, int multiprocessors)
    : queue_(queue), launch_(queue, memory, multiprocessors) {
  if (library != nullptr) lt_.emplace(queue, memory, *library);
}

std::span<const GroupedMethod> CudaProducts::grouped_methods() {
  static constexpr std::array kMethods = {GroupedMethod::kOneLaunch, GroupedMethod::kOneByOne};
  return std::span(kMethods).subspan(GroupedKernelName() != nullptr ? 0 : 1);
}

void CudaProducts::UseGroupedMethod(GroupedMethod method) {
  WEFT_CHECK(method == GroupedMethod::kOneByOne || GroupedKernelName() != nullptr,
             "this build has a kernel for groups");
  grouped_ = method;
}

void CudaProducts::Gemm(const GemmArgs& args) {
  const GemmShape shape = CheckGemm(args);
  if (lt_.has_value() && lt_->Gemm(args, shape)) return;
  PlainGemm(queue_, args, shape);
}

void CudaProducts::GroupedGemm(const GroupedGemmArgs& args) {
  if (grouped_ == GroupedMethod::kOneLaunch && GroupedLaunch::Takes(args)) {
    launch_.Gemm(args);
  } else {
    OneByOne(args);
  }
}

void CudaProducts::GroupedWgrad(const GroupedWgradArgs& args) {
  if (grouped_ == GroupedMethod::kOneLaunch && GroupedLaunch::Takes(args)) {
    launch_.Wgrad(args);
  } else {
    OneByOne(args);
  }
}

template <typename Args>
void CudaProducts::OneByOne(const Args& args) {
  const auto with_rows =
      std::count_if(args.rows.begin(), args.rows.end(), [](int64_t rows) { return rows > 0; });
  std::optional<LtProducts::Beside> beside;
  if (lt_.has_value() && args.a.dtype == DType::kBF16) beside.emplace(*lt_, with_rows);
  ForEachGroup(args, [&](const GemmArgs& product) {
    const GemmShape shape = CheckGemm(product);
    if (beside.has_value() && beside->Gemm(product, shape)) return;
    PlainGemm(queue_, product, shape);
  });
}

std::string DescribeProducts(const absl::StatusOr<std::unique_ptr<CublasLt>>& library) {
  std::string text;
  if (library.ok()) {
    text = absl::StrCat("products by ", (*library)->description());
  } else {
    text = absl::StrCat("products without cuBLASLt and slow: ", library.status().message());
  }
  if (GroupedKernelName() == nullptr) {
    return absl::StrCat(text, ", of groups one by one (this build had no CUTLASS)");
  }
  return absl::StrCat(text, ", of groups also in one launch by ", GroupedKernelName());
}

}  // namespace weft
