#include "tensor/kernels/cuda/cudnn_attention.h"

// What the frontend calls of CUDA's runtime it would open a second runtime for; with the versions
// of cuDNN below there is nothing of this.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <array>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"

namespace cudnn_frontend {

// Where the frontend finds the library's functions.
void* cudnn_dlhandle = nullptr;

}  // namespace cudnn_frontend

namespace weft {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using Tensor = std::shared_ptr<Tensor_attributes>;

constexpr const char* kName = "libcudnn.so.9";
// From 9.16 on attention takes any length as it is.
constexpr size_t kOldestVersion = 91600;
constexpr int kComputeCapability = 90;  // Hopper
// The deterministic backward stores two bytes for each score: half of this for a head of 16384
// tokens.
constexpr int64_t kMostWorkspaceBytes = int64_t{1} << 30;
// The least that a device must be able to: its plans are made when it is opened.
constexpr AttentionShape kProbe = {.sequences = 1,
                                   .length = 128,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .head_dim = 64,
                                   .qkv_row = 192,
                                   .out_row = 64};

// What a graph calls its tensors.
enum Name : int64_t { kQ = 1, kK, kV, kOut, kLse, kDOut, kDQ, kDK, kDV };

absl::Status ToStatus(fe::error_t error) {
  if (error.is_good()) return absl::OkStatus();
  return absl::InternalError(absl::StrReplaceAll(error.get_message(), {{"\n", "; "}}));
}

// The frontend throws what it cannot return.
template <typename F>
auto WithoutExceptions(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

absl::Status Load() {
  void* const library = dlopen(kName, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absl::UnavailableError(dlerror());
  fe::cudnn_dlhandle = library;
  return WithoutExceptions([] {
    const size_t version = fe::detail::get_backend_version();
    if (version >= kOldestVersion) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("cuDNN ", fe::detail::get_backend_version_string(),
                                               " is there, 9.16 or later is needed"));
  });
}

// Opened once, and never closed: it takes hundreds of megabytes.
const absl::Status& Library() {
  static const absl::Status library = Load();
  return library;
}

// A graph of one operation, described and not yet planned.
class Description {
 public:
  Description(AttentionDirection direction, const AttentionShape& shape)
      : shape_(shape), graph_(std::make_unique<fe::graph::Graph>()) {
    graph_->set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT)
        .set_sm_version(kComputeCapability);
    if (direction == AttentionDirection::kForward) {
      Forward();
    } else {
      Backward();
    }
  }

  std::unique_ptr<fe::graph::Graph> Take() { return std::move(graph_); }

 private:
  // [sequences, heads, length, head_dim], wherever that stands in rows.
  Tensor_attributes Heads(Name name, int64_t heads, int64_t row) const {
    return Tensor_attributes()
        .set_uid(name)
        .set_dim({shape_.sequences, heads, shape_.length, shape_.head_dim})
        .set_stride({shape_.length * row, shape_.head_dim, row, 1});
  }
  Tensor_attributes Queries(Name name) const { return Heads(name, shape_.heads, shape_.qkv_row); }
  Tensor_attributes Keys(Name name) const { return Heads(name, shape_.kv_heads, shape_.qkv_row); }
  Tensor_attributes Out(Name name) const { return Heads(name, shape_.heads, shape_.out_row); }
  Tensor_attributes Lse() const {
    return Tensor_attributes()
        .set_uid(kLse)
        .set_data_type(fe::DataType_t::FLOAT)
        .set_alignment(sizeof(float))  // where any sequence or head begins
        .set_dim({shape_.sequences, shape_.heads, shape_.length, 1})
        .set_stride({shape_.heads * shape_.length, shape_.length, 1, 1});
  }
  float scale() const {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape_.head_dim)));
  }
  // A tensor that an operation has made, as it is described.
  static void Write(const Tensor& made, const Tensor_attributes& as) {
    made->set_output(true)
        .set_uid(as.get_uid())
        .set_alignment(as.get_alignment())
        .set_dim(as.get_dim())
        .set_stride(as.get_stride());
    if (as.get_data_type() != fe::DataType_t::NOT_SET) made->set_data_type(as.get_data_type());
  }

  void Forward() {
    const auto [out, lse] = graph_->sdpa(
        graph_->tensor(Queries(kQ)), graph_->tensor(Keys(kK)), graph_->tensor(Keys(kV)),
        fe::graph::SDPA_attributes()
            .set_name("attention_forward")
            .set_generate_stats(true)
            .set_attn_scale(scale())
            .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
            .set_diagonal_band_right_bound(0));
    Write(out, Out(kOut));
    Write(lse, Lse());
  }

  void Backward() {
    const auto [dq, dk, dv] = graph_->sdpa_backward(
        graph_->tensor(Queries(kQ)), graph_->tensor(Keys(kK)), graph_->tensor(Keys(kV)),
        graph_->tensor(Out(kOut)), graph_->tensor(Out(kDOut)), graph_->tensor(Lse()),
        fe::graph::SDPA_backward_attributes()
            .set_name("attention_backward")
            .set_attn_scale(scale())
            .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
            .set_diagonal_band_right_bound(0)
            .set_deterministic_algorithm(true));
    Write(dq, Queries(kDQ));
    Write(dk, Keys(kDK));
    Write(dv, Keys(kDV));
  }

  const AttentionShape shape_;
  std::unique_ptr<fe::graph::Graph> graph_;
};

class LoadedCudnn final : public CudnnAttention {
 public:
  // One of the two is null: who has a device has a handle.
  LoadedCudnn(cudnnHandle_t handle, std::shared_ptr<const fe::DeviceProperties> device)
      : handle_(handle), device_(std::move(device)) {}
  ~LoadedCudnn() override {
    plans_.clear();
    if (handle_ != nullptr) fe::detail::destroy_handle(handle_);
  }
  LoadedCudnn(const LoadedCudnn&) = delete;
  LoadedCudnn& operator=(const LoadedCudnn&) = delete;

  std::string description() const override {
    return absl::StrCat("cuDNN ", fe::detail::get_backend_version_string());
  }

  int64_t most_workspace_bytes() const override { return kMostWorkspaceBytes; }

  absl::StatusOr<AttentionPlan> Plan(AttentionDirection direction,
                                     const AttentionShape& shape) override {
    const std::lock_guard lock(mutex_);
    const auto& made = PlanOf(direction, shape);
    WEFT_RETURN_IF_ERROR(made.status());
    return made->plan;
  }

  absl::Status Forward(const AttentionShape& shape, const AttentionForwardTensors& tensors,
                       void* workspace, cudaStream_t stream) override {
    return Run(AttentionDirection::kForward, shape,
               {{kQ, tensors.q},
                {kK, tensors.k},
                {kV, tensors.v},
                {kOut, tensors.out},
                {kLse, tensors.lse}},
               workspace, stream);
  }

  absl::Status Backward(const AttentionShape& shape, const AttentionBackwardTensors& tensors,
                        void* workspace, cudaStream_t stream) override {
    return Run(AttentionDirection::kBackward, shape,
               {{kQ, tensors.q},
                {kK, tensors.k},
                {kV, tensors.v},
                {kOut, tensors.out},
                {kDOut, tensors.d_out},
                {kLse, tensors.lse},
                {kDQ, tensors.dq},
                {kDK, tensors.dk},
                {kDV, tensors.dv}},
               workspace, stream);
  }

 private:
  struct Engine {
    int64_t number = 0;
    std::unordered_map<fe::KnobType_t, int64_t> settings;
  };
  struct Made {
    std::unique_ptr<fe::graph::Graph> graph;
    Engine engine;
    AttentionPlan plan;
  };
  using Key = std::pair<AttentionDirection, AttentionShape>;

  const absl::StatusOr<Made>& PlanOf(AttentionDirection direction, const AttentionShape& shape) {
    const Key key = {direction, shape};
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    const auto make = [&] { return Make(direction, shape); };
    return plans_.emplace(key, WithoutExceptions(make)).first->second;
  }

  absl::StatusOr<Made> Make(AttentionDirection direction, const AttentionShape& shape) {
    Made made;
    made.graph = Description(direction, shape).Take();
    fe::graph::Graph& graph = *made.graph;
    if (device_ != nullptr) graph.set_device_properties(device_);
    WEFT_RETURN_IF_ERROR(ToStatus(graph.validate()));
    WEFT_RETURN_IF_ERROR(ToStatus(device_ != nullptr ? graph.build_operation_graph()
                                                     : graph.build_operation_graph(handle_)));
    int64_t which = 0;
    if (shape.sequences == 1) {
      WEFT_ASSIGN_OR_RETURN(which, Choose(graph));
      WEFT_RETURN_IF_ERROR(ToStatus(
          graph.get_engine_and_knobs_at_index(which, made.engine.number, made.engine.settings)));
    } else {
      // That of one sequence, which has a plan before any other number of them does.
      AttentionShape one = shape;
      one.sequences = 1;
      const absl::StatusOr<Made>& chosen = PlanOf(direction, one);
      WEFT_RETURN_IF_ERROR(chosen.status());
      made.engine = chosen->engine;
      WEFT_RETURN_IF_ERROR(
          ToStatus(graph.create_execution_plan(made.engine.number, made.engine.settings)));
      WEFT_RETURN_IF_ERROR(ToStatus(graph.check_support()));
      WEFT_RETURN_IF_ERROR(ToStatus(graph.build_plan_at_index(0)));
    }
    WEFT_RETURN_IF_ERROR(ToStatus(graph.get_plan_name_at_index(which, made.plan.engine)));
    made.plan.workspace_bytes = graph.get_workspace_size_plan_at_index(which);
    return made;
  }

  // The first plan in the library's order of what it takes for fastest that always gives the same
  // bits and can be built. Builds it.
  static absl::StatusOr<int64_t> Choose(fe::graph::Graph& graph) {
    WEFT_RETURN_IF_ERROR(ToStatus(graph.create_execution_plans({fe::HeurMode_t::A})));
    graph.deselect_numeric_notes({fe::NumericalNote_t::NONDETERMINISTIC});
    WEFT_RETURN_IF_ERROR(ToStatus(graph.check_support()));
    absl::Status why = absl::InternalError("the library knows no way");
    for (int64_t i = 0; i < graph.get_execution_plan_count(); ++i) {
      why = ToStatus(graph.build_plan_at_index(i));
      if (why.ok()) return i;
    }
    return why;
  }

  absl::Status Run(AttentionDirection direction, const AttentionShape& shape,
                   std::initializer_list<std::pair<Name, const void*>> tensors, void* workspace,
                   cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    const absl::StatusOr<Made>& made = PlanOf(direction, shape);
    WEFT_RETURN_IF_ERROR(made.status());
    std::unordered_map<int64_t, void*> addresses;
    for (const auto& [name, address] : tensors) addresses[name] = const_cast<void*>(address);
    return WithoutExceptions([&] {
      const cudnnStatus_t set = fe::detail::set_stream(handle_, stream);
      if (set != CUDNN_STATUS_SUCCESS) {
        return absl::InternalError(
            absl::StrCat("cudnnSetStream: ", fe::detail::get_error_string(set)));
      }
      return ToStatus(made->graph->execute(handle_, addresses, workspace));
    });
  }

  const cudnnHandle_t handle_;
  const std::shared_ptr<const fe::DeviceProperties> device_;
  std::mutex mutex_;  // a handle has one stream at a time
  std::map<Key, absl::StatusOr<Made>> plans_;
};

absl::Status Probe(CudnnAttention& library) {
  for (const auto direction : {AttentionDirection::kForward, AttentionDirection::kBackward}) {
    const absl::Status status = library.Plan(direction, kProbe).status();
    if (!status.ok()) {
      return absl::UnavailableError(
          absl::StrCat(library.description(), " computes no attention here: ", status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudnnAttention>> OpenCudnnAttention() {
  using Opened = absl::StatusOr<std::unique_ptr<CudnnAttention>>;
  WEFT_RETURN_IF_ERROR(Library());
  return WithoutExceptions([]() -> Opened {
    cudnnHandle_t handle = nullptr;
    const cudnnStatus_t status = fe::detail::create_handle(&handle);
    if (status != CUDNN_STATUS_SUCCESS) {
      return absl::UnavailableError(
          absl::StrCat("cudnnCreate: ", fe::detail::get_error_string(status)));
    }
    auto library = std::make_unique<LoadedCudnn>(handle, nullptr);
    WEFT_RETURN_IF_ERROR(Probe(*library));
    return library;
  });
}

absl::StatusOr<std::unique_ptr<CudnnAttention>> PlanCudnnAttention(const std::string& device) {
  using Opened = absl::StatusOr<std::unique_ptr<CudnnAttention>>;
  WEFT_RETURN_IF_ERROR(Library());
  return WithoutExceptions([&device]() -> Opened {
    auto properties = std::make_shared<fe::DeviceProperties>();
    WEFT_RETURN_IF_ERROR(
        ToStatus(properties->deserialize(std::vector<uint8_t>(device.begin(), device.end()))));
    return std::make_unique<LoadedCudnn>(nullptr, std::move(properties));
  });
}

}  // namespace weft
