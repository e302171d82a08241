// The experts of whole MoE layers on a CUDA device, in bf16, at five shapes of published figures:
// forward and backward, products of groups in one launch beside one by one, and large single
// products. Prints one JSON object; TFLOP/s count the products' operations alone.
//
//     moe_bench [SECONDS]   (of each measurement; 0.3)

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "bench/gpu/device_timer.h"
#include "bench/gpu/expert_layer.h"
#include "tensor/kernels/compute_device.h"

namespace weft {
namespace {

// Of one H100, measured: a product of 8192 x 8192 x 8192 in bf16.
constexpr double kFlopsPerSecond = 790e12;

constexpr std::array<ExpertLayerSizes, 5> kShapes = {{
    {.tokens = 24576, .hidden = 1536, .width = 256, .experts = 128, .top_k = 8},
    {.tokens = 24576, .hidden = 1536, .width = 1024, .experts = 32, .top_k = 2},
    {.tokens = 32768, .hidden = 4096, .width = 512, .experts = 128, .top_k = 8},
    {.tokens = 32768, .hidden = 4096, .width = 1024, .experts = 64, .top_k = 4},
    {.tokens = 32768, .hidden = 4096, .width = 2048, .experts = 64, .top_k = 4},
}};

// The lines of one JSON array.
class Lines {
 public:
  void Add(const std::string& line) {
    std::printf("%s%s", first_ ? "\n  " : ",\n  ", line.c_str());
    std::fflush(stdout);
    first_ = false;
  }

 private:
  bool first_ = true;
};

std::string Format(const char* format, auto... values) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

class MoeBench {
 public:
  MoeBench(ComputeDevice& device, double seconds)
      : kernels_(device.MakeKernels()),
        stream_(device.MakeStream({"moe_bench", true, {}})),
        seconds_(seconds) {}

  Kernels& kernels() { return *kernels_; }

  void Layer(const ExpertLayerSizes& sizes, ExpertLoad load, Lines& lines) {
    ExpertLayer layer(*kernels_, sizes, load, DType::kBF16);
    const double gate_up = sizes.forward_flops() * 2 / 3;
    const MeasuredSeconds forward = Measure([&] { layer.Forward(); });
    const MeasuredSeconds backward = Measure([&] { layer.Backward(); });
    const auto rate = [](double flops, const MeasuredSeconds& measured) {
      return flops / measured.median * 1e-12;
    };
    lines.Add(Format(
        R"({"hidden": %lld, "tokens": %lld, "width": %lld, "experts": %lld, "top_k": %lld, )"
        R"("load": "%s", "groups": "%s", "forward_seconds": %.4e, "backward_seconds": %.4e, )"
        R"("forward_tflops": %.1f, "backward_tflops": %.1f, )"
        R"("products": {"forward": %.1f, "input_gradient": %.1f, "weight_gradient": %.1f}})",
        static_cast<long long>(sizes.hidden), static_cast<long long>(sizes.tokens),
        static_cast<long long>(sizes.width), static_cast<long long>(sizes.experts),
        static_cast<long long>(sizes.top_k), load == ExpertLoad::kBalanced ? "balanced" : "random",
        Name(kernels_->grouped_method()).c_str(), forward.median, backward.median,
        rate(sizes.forward_flops(), forward), rate(sizes.backward_flops(), backward),
        rate(gate_up, Measure([&] { layer.GateUpForward(); })),
        rate(gate_up, Measure([&] { layer.GateUpInputGradient(); })),
        rate(gate_up, Measure([&] { layer.GateUpWeightGradient(); }))));
  }

  // c = op(a) op(b): a layer of one expert without the rest.
  void Single(int64_t rows, int64_t hidden, int64_t width, Lines& lines) {
    const ExpertLayerSizes sizes = {
        .tokens = rows, .hidden = hidden, .width = width / 2, .experts = 1, .top_k = 1};
    ExpertLayer layer(*kernels_, sizes, ExpertLoad::kBalanced, DType::kBF16);
    const TensorView wide = layer.wide();
    const double flops =
        2.0 * static_cast<double>(rows) * static_cast<double>(hidden) * static_cast<double>(width);
    const auto add = [&](const char* product, const std::function<void()>& run) {
      const double tflops = flops / Measure(run).median * 1e-12;
      lines.Add(Format(R"({"product": "%s", "rows": %lld, "in": %lld, "out": %lld, )"
                       R"("tflops": %.1f, "of_bound": %.3f})",
                       product, static_cast<long long>(rows), static_cast<long long>(hidden),
                       static_cast<long long>(width), tflops, tflops * 1e12 / kFlopsPerSecond));
    };
    const TensorView w = layer.gate_up[0];
    const TensorView dw = layer.d_gate_up[0];
    add("forward", [&] { kernels_->Gemm({.a = layer.x, .b = w, .c = wide, .transpose_b = true}); });
    add("input_gradient", [&] { kernels_->Gemm({.a = wide, .b = w, .c = layer.dx}); });
    add("weight_gradient", [&] {
      kernels_->Gemm({.a = wide, .b = layer.x, .c = dw, .transpose_a = true, .accumulate = true});
    });
  }

 private:
  MeasuredSeconds Measure(const std::function<void()>& run) {
    const auto measured = MeasureOnDevice(*stream_, seconds_, run);
    if (measured.ok()) return *measured;
    std::fprintf(stderr, "moe_bench: %s\n", std::string(measured.status().message()).c_str());
    std::exit(1);
  }

  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Stream> stream_;
  double seconds_;
};

int Main(double seconds) {
  const auto device = MakeCudaDevice(0);
  if (!device.ok()) {
    std::fprintf(stderr, "moe_bench: %s\n", std::string(device.status().message()).c_str());
    return 2;
  }
  MoeBench bench(**device, seconds);
  std::printf("{\"device\": \"%s\", \"dtype\": \"bf16\", \"flops_per_second\": %g,\n \"single\": [",
              (*device)->description().c_str(), kFlopsPerSecond);
  Lines products;
  bench.Single(8192, 8192, 8192, products);
  bench.Single(8192, 4096, 4096, products);
  bench.Single(2048, 4096, 4096, products);
  std::printf("\n ],\n \"layers\": [");
  Lines layers;
  for (const ExpertLayerSizes& sizes : kShapes) {
    for (const ExpertLoad load : {ExpertLoad::kBalanced, ExpertLoad::kRandom}) {
      for (const GroupedMethod method : bench.kernels().grouped_methods()) {
        bench.kernels().UseGroupedMethod(method);
        bench.Layer(sizes, load, layers);
      }
    }
  }
  std::printf("\n ]}\n");
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc > 1 ? std::atof(argv[1]) : 0.3); }
