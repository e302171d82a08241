#include "tensor/kernels/cpu/products.h"

#include <omp.h>

#include <array>
#include <dnnl.hpp>

#include "base/check.h"

namespace weft {
namespace {

// A rank computes on one thread; oneDNN would otherwise take every core for each of them. The
// setting is the thread's own.
void UseOneThread() {
  thread_local const bool done = [] {
    omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

dnnl::memory::desc Matrix(int64_t rows, int64_t columns, bool transposed) {
  const dnnl::memory::dims strides =
      transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1};
  return {{rows, columns}, dnnl::memory::data_type::f32, strides};
}

void CheckStatus(dnnl_status_t status) {
  WEFT_CHECK(status == dnnl_success, "oneDNN runs a product it has compiled");
}

}  // namespace

class Product {
 public:
  Product(const ProductKey& key, const dnnl::engine& engine) {
    const dnnl::memory::desc a = Matrix(key.m, key.k, key.transpose_a);
    const dnnl::memory::desc b = Matrix(key.k, key.n, key.transpose_b);
    const dnnl::memory::desc c = Matrix(key.m, key.n, false);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (key.accumulate) {
      dnnl::post_ops operations;
      operations.append_sum(1.0f);
      attributes.set_post_ops(operations);
    }
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, engine);
    primitive_ = dnnl::matmul(description);
    const dnnl::memory::desc scratchpad = description.scratchpad_desc();
    scratchpad_bytes_ = static_cast<int64_t>(scratchpad.get_size());
    a_ = dnnl::memory(a, engine, nullptr);
    b_ = dnnl::memory(b, engine, nullptr);
    c_ = dnnl::memory(c, engine, nullptr);
    scratchpad_ = dnnl::memory(scratchpad, engine, nullptr);
    arguments_ = {{{DNNL_ARG_SRC, a_.get()},
                   {DNNL_ARG_WEIGHTS, b_.get()},
                   {DNNL_ARG_DST, c_.get()},
                   {DNNL_ARG_SCRATCHPAD, scratchpad_.get()}}};
  }

  int64_t scratchpad_bytes() const { return scratchpad_bytes_; }

  void Run(const dnnl::stream& stream, const float* a, const float* b, float* c, void* scratchpad) {
    CheckStatus(dnnl_memory_set_data_handle(a_.get(), const_cast<float*>(a)));
    CheckStatus(dnnl_memory_set_data_handle(b_.get(), const_cast<float*>(b)));
    CheckStatus(dnnl_memory_set_data_handle(c_.get(), c));
    CheckStatus(dnnl_memory_set_data_handle(scratchpad_.get(), scratchpad));
    CheckStatus(dnnl_primitive_execute(primitive_.get(), stream.get(),
                                       static_cast<int>(arguments_.size()), arguments_.data()));
  }

 private:
  dnnl::matmul primitive_;
  dnnl::memory a_, b_, c_, scratchpad_;
  std::array<dnnl_exec_arg_t, 4> arguments_{};
  int64_t scratchpad_bytes_ = 0;
};

struct Products::Device {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

Products::Products() : device_(std::make_unique<Device>()) {}
Products::~Products() = default;

Product& Products::Get(const ProductKey& key) {
  const auto found = made_.find(key);
  if (found != made_.end()) return *found->second;
  UseOneThread();
  std::unique_ptr<Product> product;
  try {
    product = std::make_unique<Product>(key, device_->engine);
  } catch (const dnnl::error& error) {
    CheckFailed(__FILE__, __LINE__, "oneDNN compiles the product", error.what());
  }
  scratchpad_.Reserve(product->scratchpad_bytes());
  return *made_.emplace(key, std::move(product)).first->second;
}

void Products::Run(Product& product, const float* a, const float* b, float* c) {
  UseOneThread();
  product.Run(device_->stream, a, b, c, scratchpad_.data());
}

}  // namespace weft
