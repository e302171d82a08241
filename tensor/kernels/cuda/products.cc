#include "tensor/kernels/cuda/products.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tensor/kernels/cuda/gemm.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {

Products::Products(CudaQueue& queue, Memory& memory, CublasLt* library, GroupedMethod grouped,
                   int multiprocessors)
    : queue_(queue), grouped_(grouped), launch_(queue, memory, multiprocessors) {
  if (library != nullptr) lt_.emplace(queue, memory, *library);
}

void Products::Gemm(const GemmArgs& args) {
  const GemmShape shape = CheckGemm(args);
  if (lt_.has_value() && lt_->Gemm(args, shape)) return;
  PlainGemm(queue_, args, shape);
}

void Products::GroupedGemm(const GroupedGemmArgs& args) {
  if (grouped_ == GroupedMethod::kOneLaunch && GroupedLaunch::Takes(args)) {
    launch_.Gemm(args);
  } else {
    OneByOne(args);
  }
}

void Products::GroupedWgrad(const GroupedWgradArgs& args) {
  if (grouped_ == GroupedMethod::kOneLaunch && GroupedLaunch::Takes(args)) {
    launch_.Wgrad(args);
  } else {
    OneByOne(args);
  }
}

template <typename Args>
void Products::OneByOne(const Args& args) {
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

std::string DescribeProducts(const absl::StatusOr<std::unique_ptr<CublasLt>>& library,
                             GroupedMethod grouped) {
  std::string text;
  if (library.ok()) {
    text = absl::StrCat("products by ", (*library)->description());
  } else {
    text = absl::StrCat("products without cuBLASLt and slow: ", library.status().message());
  }
  if (grouped == GroupedMethod::kOneByOne) return absl::StrCat(text, ", of groups one by one");
  if (GroupedKernelName() == nullptr) {
    return absl::StrCat(text, ", of groups one by one (this build had no CUTLASS)");
  }
  return absl::StrCat(text, ", of groups in one launch by ", GroupedKernelName());
}

}  // namespace weft
