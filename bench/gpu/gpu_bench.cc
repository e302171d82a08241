// Kernels of a CUDA device one by one: median seconds by the device's clock, beside the least that
// their bytes or operations take. Prints one JSON object.
//
//     gpu_bench [SECONDS]   (of each kernel; 0.5)

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "tensor/device/buffer.h"
#include "tensor/kernels/compute_device.h"

namespace weft {
namespace {

// Of one H100, measured: a copy's bytes read and written, and products in bf16.
constexpr double kBytesPerSecond = 3.0e12;
constexpr double kFlopsPerSecond = 790e12;
constexpr int kWarmUp = 3;
constexpr int kLeast = 10;
constexpr int kMost = 200;

struct Case {
  std::string name;
  double flops = 0, bytes = 0;
  std::function<void(Kernels&)> run;
};

class Bench {
 public:
  Bench(ComputeDevice& device, double seconds)
      : kernels_(device.MakeKernels()),
        stream_(device.MakeStream({"bench", true, {}})),
        seconds_(seconds) {}

  // Filled with numbers around zero: products of zeros take less power than real ones.
  TensorView Numbers(DType dtype, const Shape& shape) {
    const TensorView wide = Floats(shape);
    if (dtype == DType::kF32) return wide;
    Buffer& buffer = buffers_.emplace_back(kernels_->memory());
    const TensorView view = buffer.Ensure<BFloat16>(shape);
    kernels_->Convert(wide, view);
    return view;
  }
  TensorView Floats(const Shape& shape, float scale = 1) {
    Buffer& buffer = buffers_.emplace_back(kernels_->memory());
    const TensorView view = buffer.Ensure<float>(shape);
    const CounterRng random(buffers_.size(), "gpu_bench");
    std::vector<float> host(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < host.size(); ++i)
      host[i] = scale * (static_cast<float>(random.Bits(i) % 2001) * 1e-3f - 1);
    kernels_->memory().FromHost(View(host.data(), shape), view);
    return view;
  }
  TensorView Indices(const Shape& shape, int32_t limit) {
    Buffer& buffer = buffers_.emplace_back(kernels_->memory());
    const TensorView view = buffer.Ensure<int32_t>(shape);
    const CounterRng random(buffers_.size(), "gpu_bench");
    std::vector<int32_t> host(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < host.size(); ++i)
      host[i] = static_cast<int32_t>(random.Bits(i) % static_cast<uint64_t>(limit));
    kernels_->memory().FromHost(View(host.data(), shape), view);
    return view;
  }
  TensorView Double() { return buffers_.emplace_back(kernels_->memory()).Ensure<double>({1}); }

  // One JSON object of a kernel.
  std::string Measure(const Case& kernel) {
    std::vector<double> seconds = Time(kernel.run, kWarmUp);
    const double once = std::max(seconds.back(), 1e-6);
    seconds = Time(kernel.run, std::clamp(static_cast<int>(seconds_ / once), kLeast, kMost));
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    const double bound = std::max(kernel.flops / kFlopsPerSecond, kernel.bytes / kBytesPerSecond);
    char text[512];
    std::snprintf(text, sizeof(text),
                  R"({"kernel": "%s", "seconds": %.3e, "p10": %.3e, "p90": %.3e, "runs": %zu, )"
                  R"("tflops": %.2f, "gb_per_second": %.1f, "of_bound": %.4f})",
                  kernel.name.c_str(), median, seconds[seconds.size() / 10],
                  seconds[seconds.size() * 9 / 10], seconds.size(), kernel.flops / median * 1e-12,
                  kernel.bytes / median * 1e-9, bound / median);
    return text;
  }

 private:
  std::vector<double> Time(const std::function<void(Kernels&)>& run, int rounds) {
    std::vector<int64_t> stamps(2 * static_cast<size_t>(rounds));
    const absl::Status issued = stream_->Enqueue([&] {
      for (size_t i = 0; i < stamps.size(); i += 2) {
        stream_->Stamp(MonotonicClock(), &stamps[i]);
        run(*kernels_);
        stream_->Stamp(MonotonicClock(), &stamps[i + 1]);
      }
      return absl::OkStatus();
    });
    const absl::Status status = issued.ok() ? stream_->Synchronize() : issued;
    if (!status.ok()) {
      std::fprintf(stderr, "gpu_bench: %s\n", std::string(status.message()).c_str());
      std::exit(1);
    }
    std::vector<double> seconds;
    seconds.reserve(static_cast<size_t>(rounds));
    for (size_t i = 0; i < stamps.size(); i += 2)
      seconds.push_back(static_cast<double>(stamps[i + 1] - stamps[i]) * 1e-9);
    return seconds;
  }

  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Stream> stream_;
  double seconds_;
  std::vector<Buffer> buffers_;
};

// What a step of a model with these widths does most.
constexpr int64_t kTokens = 8192, kHidden = 2048, kWidth = 4096, kExperts = 64, kTopK = 4;
constexpr int64_t kHeads = 16, kKvHeads = 4, kHeadDim = 128, kLength = 2048, kVocab = 32000;
constexpr auto kRows = static_cast<double>(kTokens);
constexpr double kFloat = sizeof(float);

void AddProducts(Bench& bench, DType dtype, std::vector<Case>& cases) {
  const auto t = [&](const Shape& shape) { return bench.Numbers(dtype, shape); };
  const TensorView x = t({kTokens, kHidden}), y = t({kTokens, kHidden});
  const TensorView w = t({kWidth, kHidden}), wide = t({kTokens, kWidth});
  const TensorView dw = bench.Floats({kWidth, kHidden});
  const double product = 2 * kRows * kHidden * kWidth;
  cases.push_back({"gemm_forward", product, 0,
                   [=](Kernels& k) { k.Gemm({.a = x, .b = w, .c = wide, .transpose_b = true}); }});
  cases.push_back(
      {"gemm_dx", product, 0, [=](Kernels& k) { k.Gemm({.a = wide, .b = w, .c = y}); }});
  cases.push_back({"gemm_dw", product, 0, [=](Kernels& k) {
                     k.Gemm({.a = wide, .b = x, .c = dw, .transpose_a = true, .accumulate = true});
                   }});
}

void AddRows(Bench& bench, DType dtype, std::vector<Case>& cases) {
  const auto t = [&](const Shape& shape) { return bench.Numbers(dtype, shape); };
  const double matrix = kRows * kHidden * static_cast<double>(SizeOf(dtype));
  const double wide_matrix = kRows * kWidth * static_cast<double>(SizeOf(dtype));
  const TensorView x = t({kTokens, kHidden}), y = t({kTokens, kHidden});
  const TensorView dx = t({kTokens, kHidden});
  const TensorView bias = t({kHidden}), d_bias = bench.Floats({kHidden});
  cases.push_back({"add", 0, 3 * matrix, [=](Kernels& k) { k.Add(x, y, dx); }});
  cases.push_back({"add_bias", 0, 2 * matrix, [=](Kernels& k) { k.AddBias(bias, dx); }});
  cases.push_back({"bias_backward", 0, matrix, [=](Kernels& k) { k.BiasBackward(y, d_bias); }});

  const TensorView gamma = t({kHidden}), rstd = bench.Floats({kTokens});
  cases.push_back({"rms_norm_forward", 0, 2 * matrix, [=](Kernels& k) {
                     k.RmsNormForward({x, gamma, {}, 1e-5f, y, {}, rstd});
                   }});
  const TensorView d_gamma = bench.Floats({kHidden});
  cases.push_back({"rms_norm_backward", 0, 5 * matrix, [=](Kernels& k) {
                     k.RmsNormBackward({y, x, gamma, {}, rstd, dx, d_gamma, {}});
                   }});

  const TensorView wide = t({kTokens, kWidth}), half = t({kTokens, kWidth / 2});
  const TensorView d_wide = t({kTokens, kWidth});
  cases.push_back(
      {"gelu_forward", 0, 2 * wide_matrix, [=](Kernels& k) { k.GeluForward(wide, d_wide); }});
  cases.push_back(
      {"swiglu_forward", 0, 1.5 * wide_matrix, [=](Kernels& k) { k.SwigluForward(wide, half); }});
  cases.push_back({"swiglu_backward", 0, 2.5 * wide_matrix,
                   [=](Kernels& k) { k.SwigluBackward(half, wide, d_wide); }});

  const TensorView slot = bench.Indices({kTokens, kTopK}, static_cast<int32_t>(kTokens));
  const TensorView index = bench.Indices({kTokens}, static_cast<int32_t>(kTokens));
  const TensorView weights = bench.Floats({kTokens, kTopK});
  cases.push_back({"gather_rows", 0, 2 * matrix, [=](Kernels& k) { k.GatherRows(x, index, y); }});
  cases.push_back({"gather_sum", 0, (kTopK + 1) * matrix,
                   [=](Kernels& k) { k.GatherSum(x, slot, weights, false, y); }});

  const TensorView tokens = bench.Indices({kTokens}, kVocab);
  const TensorView table = t({kVocab, kHidden}), d_table = bench.Floats({kVocab, kHidden});
  cases.push_back({"embedding_forward", 0, 2 * matrix,
                   [=](Kernels& k) { k.EmbeddingForward(tokens, table, {}, kLength, y); }});
  // As if every row had a token of its own, whose gradient is read and written.
  cases.push_back({"embedding_backward", 0, matrix + 2 * kRows * kHidden * kFloat,
                   [=](Kernels& k) { k.EmbeddingBackward(y, tokens, kLength, d_table, {}); }});

  constexpr int64_t kLogitRows = 2048;
  const TensorView vocab = t({kLogitRows, kVocab}), loss = bench.Double();
  const TensorView labels = bench.Indices({kLogitRows}, kVocab);
  cases.push_back({"cross_entropy", 0,
                   3.0 * kLogitRows * kVocab * static_cast<double>(SizeOf(dtype)), [=](Kernels& k) {
                     k.CrossEntropy({vocab, labels, 1e-3f, true, loss});
                   }});
}

void AddGate(Bench& bench, DType dtype, std::vector<Case>& cases) {
  const double matrix = kRows * kExperts * kFloat;
  const TensorView logits = bench.Floats({kTokens, kExperts});
  const TensorView probs = bench.Floats({kTokens, kExperts});
  const TensorView experts = bench.Indices({kTokens, kTopK}, kExperts);
  const TensorView weights = bench.Floats({kTokens, kTopK});
  const TensorView d_logits = bench.Numbers(dtype, {kTokens, kExperts});
  cases.push_back({"gate_forward", 0, 2 * matrix, [=](Kernels& k) {
                     k.GateForward({logits, kTopK, true, probs, experts, weights});
                   }});
  cases.push_back({"gate_backward", 0,
                   2 * matrix + kRows * kExperts * static_cast<double>(SizeOf(dtype)),
                   [=](Kernels& k) {
                     k.GateBackward({probs, experts, weights, weights, logits, true, d_logits});
                   }});
}

void AddAttention(Bench& bench, DType dtype, std::vector<Case>& cases) {
  const auto t = [&](const Shape& shape) { return bench.Numbers(dtype, shape); };
  constexpr int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
  const TensorView qkv = t({kTokens, kQkv}), d_qkv = t({kTokens, kQkv});
  const TensorView out = t({kTokens, kHeads * kHeadDim}), d_out = t({kTokens, kHeads * kHeadDim});
  const TensorView lse = bench.Floats({kTokens / kLength, kHeads, kLength});
  const double turned = kRows * (kHeads + kKvHeads) * kHeadDim * static_cast<double>(SizeOf(dtype));
  cases.push_back({"rope", 0, 2 * turned, [=](Kernels& k) {
                     k.Rope({.x = qkv,
                             .sequences = kTokens / kLength,
                             .length = kLength,
                             .rotated_heads = kHeads + kKvHeads,
                             .head_dim = kHeadDim});
                   }});
  const double scores = 2 * kRows * kLength * kHeads * kHeadDim;  // QK and PV, causal
  cases.push_back({"attention_forward", scores, 0, [=](Kernels& k) {
                     k.AttentionForward(
                         {qkv, kTokens / kLength, kLength, kHeads, kKvHeads, kHeadDim, out, lse});
                   }});
  cases.push_back({"attention_backward", 2.5 * scores, 0, [=](Kernels& k) {
                     k.AttentionBackward({qkv, out, lse, d_out, kTokens / kLength, kLength, kHeads,
                                          kKvHeads, kHeadDim, d_qkv});
                   }});
}

// With `dtype` bf16 the parameter is left rounded, too.
void AddUpdates(Bench& bench, DType dtype, std::vector<Case>& cases) {
  constexpr int64_t kParameters = 1 << 26;
  const bool rounds = dtype == DType::kBF16;
  const TensorView value = bench.Floats({kParameters}), m = bench.Floats({kParameters}, 1e-3f);
  const TensorView v = bench.Floats({kParameters}, 0), g = bench.Floats({kParameters});
  const TensorView rounded = rounds ? bench.Numbers(dtype, {kParameters}) : TensorView{};
  const TensorView sum = bench.Double();
  cases.push_back({"adamw", 0, (rounds ? 30.0 : 28.0) * kParameters, [=](Kernels& k) {
                     k.AdamW({.parameter = value,
                              .m = m,
                              .v = v,
                              .gradient = g,
                              .rounded = rounded,
                              .learning_rate = 1e-4});
                   }});
  if (rounds) {
    cases.push_back(
        {"convert", 0, 6.0 * kParameters, [=](Kernels& k) { k.Convert(value, rounded); }});
  } else {
    cases.push_back(
        {"sum_of_squares", 0, 4.0 * kParameters, [=](Kernels& k) { k.SumOfSquares(g, sum); }});
  }
}

// One JSON object of each case in this type; names of cases in bf16 end in it.
void Print(Bench& bench, DType dtype, const char*& separator) {
  std::vector<Case> cases;
  AddProducts(bench, dtype, cases);
  AddRows(bench, dtype, cases);
  AddGate(bench, dtype, cases);
  AddAttention(bench, dtype, cases);
  AddUpdates(bench, dtype, cases);
  for (Case& kernel : cases) {
    if (dtype == DType::kBF16) kernel.name += "_bf16";
    std::printf("%s%s", separator, bench.Measure(kernel).c_str());
    std::fflush(stdout);
    separator = ",\n  ";
  }
}

int Main(double seconds) {
  auto device = MakeCudaDevice(0);
  if (!device.ok()) {
    std::fprintf(stderr, "gpu_bench: %s\n", std::string(device.status().message()).c_str());
    return 2;
  }
  std::printf(
      "{\"device\": \"%s\",\n \"bounds\": {\"flops_per_second\": %g, "
      "\"bytes_per_second\": %g},\n \"kernels\": [",
      (*device)->description().c_str(), kFlopsPerSecond, kBytesPerSecond);
  const char* separator = "\n  ";
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Bench bench(**device, seconds);  // whose tensors go with it
    Print(bench, dtype, separator);
  }
  std::printf("\n ]}\n");
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc > 1 ? std::atof(argv[1]) : 0.5); }
