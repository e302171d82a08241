// Measures the CPU kernels on one core and prints one JSON object: matrix products beside the plain
// oneDNN product of the same shape (the two alternate in one run; medians), then the other
// operations. Ratios count, the machine may be shared.
//
//   kernels_bench [--quick]      about 60 s, or 6 s

#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <dnnl.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_clock.h"
#include "tensor/kernels/kernels.h"

namespace weft {
namespace {

using Json = nlohmann::json;

std::vector<float> Normal(int64_t n, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(n));
  const CounterRng random(seed, "bench");
  for (size_t i = 0; i < out.size(); ++i) out[i] = random.Normal(i);
  return out;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Timer {
 public:
  explicit Timer(double budget_seconds) : budget_(budget_seconds) {}

  // Median seconds of each function: they alternate, at least five times each, until the budget is
  // spent.
  std::vector<double> Medians(const std::vector<std::function<void()>>& functions) const {
    for (const auto& function : functions) function();  // compiles, fills caches
    std::vector<std::vector<double>> seconds(functions.size());
    double spent = 0;
    while (seconds[0].size() < 5 || (spent < budget_ && seconds[0].size() < 500)) {
      for (size_t i = 0; i < functions.size(); ++i) {
        const double begin = ThreadSeconds();
        functions[i]();
        seconds[i].push_back(ThreadSeconds() - begin);
        spent += seconds[i].back();
      }
    }
    std::vector<double> medians;
    medians.reserve(seconds.size());
    for (std::vector<double>& of_one : seconds) medians.push_back(Median(std::move(of_one)));
    return medians;
  }

 private:
  double budget_;
};

// The product as oneDNN alone does it: exactly this shape, compiled beforehand.
class PlainProduct {
 public:
  PlainProduct(int64_t m, int64_t k, int64_t n, const GemmArgs& args) {
    const auto matrix = [](int64_t rows, int64_t columns, bool transposed) {
      return dnnl::memory::desc(
          {rows, columns}, dnnl::memory::data_type::f32,
          transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1});
    };
    dnnl::primitive_attr attributes;
    if (args.accumulate) {
      dnnl::post_ops operations;
      operations.append_sum(1.0f);
      attributes.set_post_ops(operations);
    }
    const dnnl::matmul::primitive_desc description(
        dnnl::matmul::desc(matrix(m, k, args.transpose_a), matrix(k, n, args.transpose_b),
                           matrix(m, n, false)),
        attributes, engine_);
    product_ = dnnl::matmul(description);
    arguments_ = {{DNNL_ARG_SRC,
                   dnnl::memory(description.src_desc(), engine_, const_cast<void*>(args.a.data))},
                  {DNNL_ARG_WEIGHTS, dnnl::memory(description.weights_desc(), engine_,
                                                  const_cast<void*>(args.b.data))},
                  {DNNL_ARG_DST, dnnl::memory(description.dst_desc(), engine_, args.c.data)}};
  }
  void Run() { product_.execute(stream_, arguments_); }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

enum class Flavour { kForward, kInputGradient, kWeightGradient };

// kForward: y [rows, out] = x [rows, in] w^T; kInputGradient: dx = dy w; kWeightGradient: dw +=
// dy^T x.
Json MeasureGemm(Kernels& kernels, const Timer& timer, Flavour flavour, int64_t rows, int64_t in,
                 int64_t out) {
  const std::vector<float> x = Normal(rows * in, 1), dy = Normal(rows * out, 2),
                           w = Normal(out * in, 3);
  std::vector<float> ours(static_cast<size_t>(std::max({rows * out, rows * in, out * in})));
  std::vector<float> plain = ours;
  GemmArgs args;
  int64_t m = rows, k = in, n = out;
  switch (flavour) {
    case Flavour::kForward:
      args.a = View(x.data(), {rows, in}), args.b = View(w.data(), {out, in});
      args.transpose_b = true;
      break;
    case Flavour::kInputGradient:
      k = out, n = in;
      args.a = View(dy.data(), {rows, out}), args.b = View(w.data(), {out, in});
      break;
    case Flavour::kWeightGradient:
      m = out, k = rows, n = in;
      args.a = View(dy.data(), {rows, out}), args.b = View(x.data(), {rows, in});
      args.transpose_a = args.accumulate = true;
      break;
  }
  args.c = View(plain.data(), {m, n});
  PlainProduct product(m, k, n, args);
  args.c = View(ours.data(), {m, n});
  const std::vector<double> seconds =
      timer.Medians({[&] { kernels.Gemm(args); }, [&] { product.Run(); }});
  const double gflop =
      2e-9 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const char* const names[] = {"forward", "input_gradient", "weight_gradient"};
  return {{"flavour", names[static_cast<int>(flavour)]},
          {"rows", rows},
          {"in", in},
          {"out", out},
          {"gflops", gflop / seconds[0]},
          {"plain_gflops", gflop / seconds[1]},
          {"time_over_plain", seconds[0] / seconds[1]}};
}

Json MeasureAttention(Kernels& kernels, const Timer& timer, int64_t length, int64_t heads,
                      int64_t kv_heads, int64_t head_dim) {
  const int64_t width = (heads + 2 * kv_heads) * head_dim, out_width = heads * head_dim;
  const std::vector<float> qkv = Normal(length * width, 4), d_out = Normal(length * out_width, 5);
  std::vector<float> out(d_out.size()), lse(static_cast<size_t>(heads * length));
  std::vector<float> d_qkv(qkv.size());
  const std::vector<double> seconds = timer.Medians(
      {[&] {
         kernels.AttentionForward({View(qkv.data(), {length, width}), 1, length, heads, kv_heads,
                                   head_dim, View(out.data(), {length, out_width}),
                                   View(lse.data(), {1, heads, length})});
       },
       [&] {
         const std::vector<float>& read_out = out;
         const std::vector<float>& read_lse = lse;
         kernels.AttentionBackward(
             {View(qkv.data(), {length, width}), View(read_out.data(), {length, out_width}),
              View(read_lse.data(), {1, heads, length}), View(d_out.data(), {length, out_width}), 1,
              length, heads, kv_heads, head_dim, View(d_qkv.data(), {length, width})});
       }});
  // Multiplications and additions below the diagonal: two products forward, five backward.
  const double product = 1e-9 * static_cast<double>(heads) * static_cast<double>(length) *
                         static_cast<double>(length + 1) * static_cast<double>(head_dim);
  return {{"length", length},
          {"heads", heads},
          {"kv_heads", kv_heads},
          {"head_dim", head_dim},
          {"forward_gflops", 2 * product / seconds[0]},
          {"backward_gflops", 5 * product / seconds[1]},
          {"forward_ms", 1e3 * seconds[0]},
          {"backward_ms", 1e3 * seconds[1]}};
}

// One operation over `elements`, which reads and writes `bytes` in all.
Json MeasureLoop(const Timer& timer, const std::string& name, int64_t elements, int64_t bytes,
                 const std::function<void()>& run) {
  const double seconds = timer.Medians({run})[0];
  return {{"operation", name},
          {"ns_per_element", 1e9 * seconds / static_cast<double>(elements)},
          {"gigabytes_per_second", 1e-9 * static_cast<double>(bytes) / seconds}};
}

Json MeasureLoops(Kernels& kernels, const Timer& timer) {
  const int64_t rows = 512, width = 1024, n = rows * width, vocab = 50257, top_k = 2, experts = 64;
  const std::vector<float> a = Normal(n, 6), b = Normal(n, 7), wide = Normal(2 * n, 8);
  std::vector<float> y(a.size()), d_wide(wide.size()), gamma(width, 1.0f), beta(width), mean(rows);
  std::vector<float> rstd(rows), parameter = a, m(a.size()), v(a.size());
  std::vector<float> logits = Normal(64 * vocab, 9), router = Normal(rows * experts, 10);
  std::vector<float> probs(router.size()), weights(static_cast<size_t>(rows * top_k));
  std::vector<int32_t> labels(64, 17), chosen(weights.size()), slot(weights.size());
  for (size_t i = 0; i < slot.size(); ++i) slot[i] = static_cast<int32_t>(i * 37 % rows);
  const std::vector<int32_t>& slots = slot;
  const auto matrix = [&](std::vector<float>& x) { return View(x.data(), {rows, width}); };
  const auto input = [&](const std::vector<float>& x) { return View(x.data(), {rows, width}); };
  const ConstTensorView gate_up = View(wide.data(), {rows, 2 * width});
  const NormForwardArgs norm{
      input(a),  View(gamma.data(), {width}), View(beta.data(), {width}), 1e-5f,
      matrix(y), View(mean.data(), {rows}),   View(rstd.data(), {rows})};
  std::vector<float> d_gamma(width), d_beta(width);
  const NormBackwardArgs norm_backward{input(b),
                                       input(a),
                                       norm.gamma,
                                       norm.mean,
                                       norm.rstd,
                                       matrix(y),
                                       View(d_gamma.data(), {width}),
                                       View(d_beta.data(), {width})};
  AdamWArgs adamw;
  adamw.parameter = View(parameter.data(), {n}), adamw.m = View(m.data(), {n});
  adamw.v = View(v.data(), {n}), adamw.gradient = View(b.data(), {n});
  adamw.learning_rate = 1e-4, adamw.weight_decay = 0.1;
  double loss = 0;
  double squares = 0;
  Json out = Json::array();
  const auto measure = [&](const std::string& name, int64_t elements, int64_t floats_moved,
                           const std::function<void()>& run) {
    out.push_back(MeasureLoop(timer, name, elements, 4 * floats_moved, run));
  };
  measure("gelu_forward", n, 2 * n, [&] { kernels.GeluForward(input(a), matrix(y)); });
  measure("gelu_backward", n, 3 * n, [&] { kernels.GeluBackward(input(b), input(a), matrix(y)); });
  measure("swiglu_forward", n, 3 * n, [&] { kernels.SwigluForward(gate_up, matrix(y)); });
  measure("swiglu_backward", n, 5 * n, [&] {
    kernels.SwigluBackward(input(b), gate_up, View(d_wide.data(), {rows, 2 * width}));
  });
  measure("layer_norm_forward", n, 2 * n, [&] { kernels.LayerNormForward(norm); });
  measure("layer_norm_backward", n, 3 * n, [&] { kernels.LayerNormBackward(norm_backward); });
  measure("rms_norm_forward", n, 2 * n, [&] { kernels.RmsNormForward(norm); });
  measure("rms_norm_backward", n, 3 * n, [&] { kernels.RmsNormBackward(norm_backward); });
  measure("rope", n, 2 * n, [&] {
    kernels.Rope({matrix(y), 1, rows, width / 64, 64, 10000.0f, false});
  });
  measure("add_bias", n, 2 * n, [&] { kernels.AddBias(norm.beta, matrix(y)); });
  measure("bias_backward", n, n,
          [&] { kernels.BiasBackward(input(a), View(d_beta.data(), {width})); });
  measure("gather_sum", n, (1 + top_k) * n, [&] {
    kernels.GatherSum(input(a), View(slots.data(), {rows, top_k}),
                      View(weights.data(), {rows, top_k}), false, matrix(y));
  });
  measure("gather_dot", n * top_k, 2 * n * top_k, [&] {
    kernels.GatherDot(input(a), input(b), View(slots.data(), {rows, top_k}),
                      View(weights.data(), {rows, top_k}));
  });
  measure("gate_forward", rows * experts, 2 * rows * experts, [&] {
    kernels.GateForward({View(router.data(), {rows, experts}), top_k, true,
                         View(probs.data(), {rows, experts}), View(chosen.data(), {rows, top_k}),
                         View(weights.data(), {rows, top_k})});
  });
  measure("cross_entropy", 64 * vocab, 2 * 64 * vocab, [&] {
    kernels.CrossEntropy({View(logits.data(), {64, vocab}), View(labels.data(), {64}), 1.0f, true,
                          View(&loss, {1})});
  });
  measure("adamw", n, 7 * n, [&] { kernels.AdamW(adamw); });
  measure("sum_of_squares", n, n, [&] { kernels.SumOfSquares(input(a), View(&squares, {1})); });
  return out;
}

int Main(bool quick) {
  omp_set_num_threads(1);
  const std::unique_ptr<Kernels> kernels = MakeCpuKernels();
  const Timer timer(quick ? 0.02 : 0.3);
  Json report;
  report["gemm"] = Json::array();
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{128, 512},
                                                                        {512, 512},
                                                                        {512, 2048},
                                                                        {2048, 512},
                                                                        {1024, 1024},
                                                                        {2048, 2048},
                                                                        {512, 16}}) {
    for (const int64_t rows : {1, 16, 64, 100, 256, 300, 1000, 4096}) {
      for (const Flavour flavour :
           {Flavour::kForward, Flavour::kInputGradient, Flavour::kWeightGradient}) {
        report["gemm"].push_back(MeasureGemm(*kernels, timer, flavour, rows, in, out));
      }
    }
  }
  report["attention"] = Json::array();
  for (const int64_t length : {64, 256, 1024, 2048}) {
    report["attention"].push_back(MeasureAttention(*kernels, timer, length, 8, 8, 64));
  }
  report["attention"].push_back(MeasureAttention(*kernels, timer, 1024, 8, 2, 128));
  report["attention"].push_back(MeasureAttention(*kernels, timer, 1024, 8, 8, 32));
  report["loops"] = MeasureLoops(*kernels, timer);
  std::puts(report.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  const bool quick = argc == 2 && std::strcmp(argv[1], "--quick") == 0;
  if (argc > 1 && !quick) {
    std::fprintf(stderr, "usage: kernels_bench [--quick]\n");
    return 2;
  }
  return weft::Main(quick);
}
