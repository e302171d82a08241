#include "tensor/kernels/cuda/cublas_lt.h"

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>
#include <dlfcn.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

// Asked for together: enough that one takes every number of rows.
constexpr int64_t kWorkspaceBytes = int64_t{8} << 20;
constexpr int kMostCandidates = 16;
constexpr uint32_t kAlignment = 16;

// The names of the library, newest first. The functions below and the numbers of their attributes
// have been the same since CUDA 12.
constexpr std::array<const char*, 2> kNames = {"libcublasLt.so.13", "libcublasLt.so.12"};

// The functions that we call, by their types in the header.
struct Functions {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtMatmulDescCreate) make_operation = nullptr;
  decltype(&cublasLtMatmulDescDestroy) free_operation = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_operation = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) make_layout = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) free_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) make_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) free_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulAlgoCheck) check = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) configuration = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
};

template <typename Function>
absl::Status Find(void* library, const char* name, Function& function) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr) {
    return absl::UnavailableError(absl::StrCat("libcublasLt has no function ", name));
  }
  std::memcpy(&function, &symbol, sizeof(function));
  return absl::OkStatus();
}

absl::StatusOr<Functions> Load() {
  void* library = nullptr;
  std::string why;
  for (const char* const name : kNames) {
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    if (why.empty()) why = dlerror();
  }
  if (library == nullptr) return absl::UnavailableError(why);
  Functions f;
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtCreate", f.create));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtDestroy", f.destroy));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtGetVersion", f.version));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulDescCreate", f.make_operation));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulDescDestroy", f.free_operation));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulDescSetAttribute", f.set_operation));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatrixLayoutCreate", f.make_layout));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatrixLayoutDestroy", f.free_layout));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulPreferenceCreate", f.make_preference));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulPreferenceDestroy", f.free_preference));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulPreferenceSetAttribute", f.set_preference));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulAlgoGetHeuristic", f.heuristic));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulAlgoCheck", f.check));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmulAlgoConfigGetAttribute", f.configuration));
  WEFT_RETURN_IF_ERROR(Find(library, "cublasLtMatmul", f.matmul));
  return f;
}

// Opened once, and never closed: it takes hundreds of megabytes and half a second.
const absl::StatusOr<Functions>& Library() {
  static const absl::StatusOr<Functions> library = Load();
  return library;
}

cudaDataType_t TypeOf(DType type) { return type == DType::kF32 ? CUDA_R_32F : CUDA_R_16BF; }

// Descriptors fail for wrong arguments alone, and those are ours.
void Check(cublasStatus_t status) {
  WEFT_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt takes our descriptors");
}

class Layout {
 public:
  Layout(const Functions& functions, const LtMatrix& matrix) : functions_(functions) {
    Check(functions_.make_layout(&layout_, TypeOf(matrix.type), static_cast<uint64_t>(matrix.rows),
                                 static_cast<uint64_t>(matrix.columns), matrix.stride));
  }
  ~Layout() { functions_.free_layout(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;

  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  const Functions& functions_;
  cublasLtMatrixLayout_t layout_ = nullptr;
};

// A product as the library describes it.
class Description {
 public:
  Description(const Functions& functions, const LtProduct& product)
      : functions_(functions),
        a(functions, product.a),
        b(functions, product.b),
        c(functions, product.c) {
    Check(functions_.make_operation(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    Set(CUBLASLT_MATMUL_DESC_TRANSA, product.transpose_a);
    Set(CUBLASLT_MATMUL_DESC_TRANSB, product.transpose_b);
  }
  ~Description() { functions_.free_operation(operation_); }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  cublasLtMatmulDesc_t operation() const { return operation_; }

 private:
  const Functions& functions_;
  cublasLtMatmulDesc_t operation_ = nullptr;

  void Set(cublasLtMatmulDescAttributes_t attribute, bool transpose) {
    const cublasOperation_t operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    Check(functions_.set_operation(operation_, attribute, &operation, sizeof(operation)));
  }

 public:
  const Layout a, b, c;
};

class Preference {
 public:
  Preference(const Functions& functions, int64_t workspace_bytes) : functions_(functions) {
    Check(functions_.make_preference(&preference_));
    Set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes));
    Set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      Set(attribute, kAlignment);
    }
  }
  ~Preference() { functions_.free_preference(preference_); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;

  cublasLtMatmulPreference_t get() const { return preference_; }

 private:
  template <typename T>
  void Set(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
    Check(functions_.set_preference(preference_, attribute, &value, sizeof(value)));
  }

  const Functions& functions_;
  cublasLtMatmulPreference_t preference_ = nullptr;
};

LtAlgorithm FromLibrary(const cublasLtMatmulAlgo_t& algorithm) {
  LtAlgorithm own;
  static_assert(sizeof(own.data) == sizeof(algorithm));
  std::memcpy(own.data.data(), &algorithm, sizeof(algorithm));
  return own;
}

cublasLtMatmulAlgo_t ToLibrary(const LtAlgorithm& own) {
  cublasLtMatmulAlgo_t algorithm{};
  std::memcpy(&algorithm, own.data.data(), sizeof(algorithm));
  return algorithm;
}

class LoadedCublasLt final : public CublasLt {
 public:
  LoadedCublasLt(const Functions& functions, cublasLtHandle_t handle)
      : functions_(functions), handle_(handle) {}
  ~LoadedCublasLt() override { functions_.destroy(handle_); }
  LoadedCublasLt(const LoadedCublasLt&) = delete;
  LoadedCublasLt& operator=(const LoadedCublasLt&) = delete;

  std::string description() const override {
    const size_t version = functions_.version();  // 130002: 13.0.2
    const size_t major = version / 10000;
    return absl::StrCat("cuBLASLt ", major, ".", version / 100 % 100, ".", version % 100);
  }

  int64_t workspace_bytes() const override { return kWorkspaceBytes; }

  std::vector<LtAlgorithm> Candidates(const LtProduct& product) override {
    const Description description(functions_, product);
    const Preference preference(functions_, kWorkspaceBytes);
    std::array<cublasLtMatmulHeuristicResult_t, kMostCandidates> results{};
    int count = 0;
    const cublasStatus_t status =
        functions_.heuristic(handle_, description.operation(), description.a.get(),
                             description.b.get(), description.c.get(), description.c.get(),
                             preference.get(), kMostCandidates, results.data(), &count);
    std::vector<LtAlgorithm> candidates;
    if (status != CUBLAS_STATUS_SUCCESS) return candidates;
    for (int i = 0; i < count; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = results.at(static_cast<size_t>(i));
      if (result.state != CUBLAS_STATUS_SUCCESS || SplitsSums(result.algo)) continue;
      candidates.push_back(FromLibrary(result.algo));
    }
    return candidates;
  }

  bool Takes(const LtProduct& product, const LtAlgorithm& algorithm) override {
    const Description description(functions_, product);
    const cublasLtMatmulAlgo_t library_algorithm = ToLibrary(algorithm);
    cublasLtMatmulHeuristicResult_t result{};
    return functions_.check(handle_, description.operation(), description.a.get(),
                            description.b.get(), description.c.get(), description.c.get(),
                            &library_algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= static_cast<size_t>(kWorkspaceBytes);
  }

  absl::Status Run(const LtProduct& product, const LtAlgorithm& algorithm, const void* a,
                   const void* b, void* c, void* workspace, cudaStream_t stream) override {
    const Description description(functions_, product);
    const cublasLtMatmulAlgo_t library_algorithm = ToLibrary(algorithm);
    const float alpha = 1;
    const float beta = product.accumulate ? 1 : 0;
    const cublasStatus_t status = functions_.matmul(
        handle_, description.operation(), &alpha, a, description.a.get(), b, description.b.get(),
        &beta, c, description.c.get(), c, description.c.get(), &library_algorithm, workspace,
        static_cast<size_t>(kWorkspaceBytes), stream);
    if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("cublasLtMatmul returned ", static_cast<int>(status)));
  }

 private:
  bool SplitsSums(const cublasLtMatmulAlgo_t& algorithm) const {
    int32_t parts = 1;
    uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t written = 0;
    Check(functions_.configuration(&algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts,
                                   sizeof(parts), &written));
    Check(functions_.configuration(&algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                   sizeof(reduction), &written));
    return parts > 1 || reduction != CUBLASLT_REDUCTION_SCHEME_NONE;
  }

  const Functions& functions_;
  cublasLtHandle_t handle_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CublasLt>> OpenCublasLt() {
  const absl::StatusOr<Functions>& library = Library();
  WEFT_RETURN_IF_ERROR(library.status());
  cublasLtHandle_t handle = nullptr;
  const cublasStatus_t status = library->create(&handle);
  if (status != CUBLAS_STATUS_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat("cublasLtCreate returned ", static_cast<int>(status)));
  }
  return std::make_unique<LoadedCublasLt>(*library, handle);
}

}  // namespace weft

#else

namespace weft {

absl::StatusOr<std::unique_ptr<CublasLt>> OpenCublasLt() {
  return absl::UnavailableError("this build had no cublasLt.h");
}

}  // namespace weft

#endif
