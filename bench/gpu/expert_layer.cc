#include "bench/gpu/expert_layer.h"

#include <algorithm>
#include <numeric>

#include "base/bfloat16.h"
#include "base/random.h"

namespace weft {
namespace {

// Numbers that the host makes; the device repeats them.
constexpr int64_t kMade = int64_t{1} << 20;

}  // namespace

std::vector<int32_t> ChooseExperts(const ExpertLayerSizes& sizes, ExpertLoad load) {
  std::vector<int32_t> chosen;
  chosen.reserve(static_cast<size_t>(sizes.tokens * sizes.top_k));
  const CounterRng random(1, "expert_layer");
  std::vector<int32_t> order(static_cast<size_t>(sizes.experts));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t token = 0; token < sizes.tokens; ++token) {
    for (int64_t j = 0; j < sizes.top_k; ++j) {
      if (load == ExpertLoad::kBalanced) {
        chosen.push_back(static_cast<int32_t>((token * sizes.top_k + j) % sizes.experts));
        continue;
      }
      // The next card of a deck that is shuffled as far as it is dealt.
      const uint64_t bits = random.Bits(static_cast<uint64_t>(token * sizes.top_k + j));
      const auto other = static_cast<uint64_t>(j) + bits % static_cast<uint64_t>(sizes.experts - j);
      std::swap(order[static_cast<size_t>(j)], order[other]);
      chosen.push_back(order[static_cast<size_t>(j)]);
    }
  }
  return chosen;
}

ExpertLayer::ExpertLayer(Kernels& kernels, const ExpertLayerSizes& sizes, ExpertLoad load,
                         DType type)
    : kernels_(kernels), sizes_(sizes), type_(type) {
  const int64_t rows = sizes.tokens * sizes.top_k;
  const int64_t hidden = sizes.hidden, width = sizes.width;
  x = Random(type, {sizes.tokens, hidden}, 1);
  dy = Random(type, {sizes.tokens, hidden}, 1);
  y = Make(type, {sizes.tokens, hidden});
  dx = Make(type, {sizes.tokens, hidden});
  weights = Random(DType::kF32, {sizes.tokens, sizes.top_k}, 1);
  d_weights = Make(DType::kF32, {sizes.tokens, sizes.top_k});
  for (int64_t expert = 0; expert < sizes.experts; ++expert) {
    gate_up.push_back(Random(type, {2 * width, hidden}, 0.05f));
    down.push_back(Random(type, {hidden, width}, 0.05f));
    d_gate_up.push_back(Make(DType::kF32, {2 * width, hidden}));
    d_down.push_back(Make(DType::kF32, {hidden, width}));
  }
  gate_up_read_.assign(gate_up.begin(), gate_up.end());
  down_read_.assign(down.begin(), down.end());
  sorted_ = Make(type, {rows, hidden});
  hidden_ = Make(type, {rows, 2 * width});
  active_ = Make(type, {rows, width});
  out_ = Make(type, {rows, hidden});
  d_out_ = Make(type, {rows, hidden});
  d_active_ = Make(type, {rows, width});
  d_hidden_ = Make(type, {rows, 2 * width});
  d_sorted_ = Make(type, {rows, hidden});
  Order(load);
}

void ExpertLayer::Order(ExpertLoad load) {
  const std::vector<int32_t> experts = ChooseExperts(sizes_, load);
  std::vector<int32_t> order(experts.size());  // places of (token, choice) by expert
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return experts[static_cast<size_t>(a)] < experts[static_cast<size_t>(b)];
  });
  rows_.assign(static_cast<size_t>(sizes_.experts), 0);
  std::vector<int32_t> token(order.size()), slot(order.size());
  for (size_t row = 0; row < order.size(); ++row) {
    const auto place = static_cast<size_t>(order[row]);
    ++rows_[static_cast<size_t>(experts[place])];
    token[row] = static_cast<int32_t>(static_cast<int64_t>(place) / sizes_.top_k);
    slot[place] = static_cast<int32_t>(row);
  }
  const int64_t rows = sizes_.tokens * sizes_.top_k;
  token_ = Ints(token, {rows});
  slot_ = Ints(slot, {sizes_.tokens, sizes_.top_k});
  order_ = Ints(order, {rows});
  row_weight_ = Make(DType::kF32, {rows, 1});
}

TensorView ExpertLayer::Make(DType type, const Shape& shape) {
  Buffer& buffer = buffers_.emplace_back(kernels_.memory());
  return type == DType::kF32 ? buffer.Ensure<float>(shape) : buffer.Ensure<BFloat16>(shape);
}

TensorView ExpertLayer::Random(DType type, const Shape& shape, float scale) {
  const TensorView all = Make(type, shape);
  const int64_t made = std::min(all.elements(), kMade);
  const CounterRng random(buffers_.size(), "expert_layer");
  std::vector<float> host;
  std::vector<BFloat16> rounded;
  for (int64_t i = 0; i < made; ++i) {
    const float uniform =
        static_cast<float>(random.Bits(static_cast<uint64_t>(i)) % 2001) * 1e-3f - 1;
    if (type == DType::kF32) {
      host.push_back(scale * uniform);
    } else {
      rounded.push_back(BFloat16::FromFloat(scale * uniform));
    }
  }
  const void* const from = type == DType::kF32 ? static_cast<const void*>(host.data())
                                               : static_cast<const void*>(rounded.data());
  Memory& memory = kernels_.memory();
  const auto part = [&](int64_t begin, int64_t count) {
    return TensorView{static_cast<char*>(all.data) + begin * SizeOf(type), type, {count}};
  };
  memory.FromHost({from, type, {made}}, part(0, made));
  for (int64_t done = made; done < all.elements();) {
    const int64_t count = std::min(done, all.elements() - done);
    memory.Copy(part(0, count), part(done, count));
    done += count;
  }
  return all;
}

TensorView ExpertLayer::Ints(const std::vector<int32_t>& values, const Shape& shape) {
  Buffer& buffer = buffers_.emplace_back(kernels_.memory());
  const TensorView view = buffer.Ensure<int32_t>(shape);
  kernels_.memory().FromHost(View(values.data(), shape), view);
  return view;
}

void ExpertLayer::GateUpForward() {
  kernels_.GroupedGemm({sorted_, rows_, gate_up_read_, true, hidden_});
}

void ExpertLayer::GateUpInputGradient() {
  kernels_.GroupedGemm({d_hidden_, rows_, gate_up_read_, false, d_sorted_});
}

void ExpertLayer::GateUpWeightGradient() {
  kernels_.GroupedWgrad({d_hidden_, sorted_, rows_, d_gate_up});
}

void ExpertLayer::Forward() {
  kernels_.GatherRows(x, token_, sorted_);
  GateUpForward();
  kernels_.SwigluForward(hidden_, active_);
  kernels_.GroupedGemm({active_, rows_, down_read_, true, out_});
  kernels_.GatherSum(out_, slot_, weights, false, y);
}

void ExpertLayer::Backward() {
  const int64_t rows = sizes_.tokens * sizes_.top_k;
  kernels_.GatherDot(dy, out_, slot_, d_weights);
  const TensorView places = View(weights.as<float>(), {rows, 1});
  kernels_.GatherRows(places, order_, row_weight_);
  kernels_.GatherScaledRows(dy, token_, View(row_weight_.as<float>(), {rows}), d_out_);
  kernels_.GroupedGemm({d_out_, rows_, down_read_, false, d_active_});
  kernels_.GroupedWgrad({d_out_, active_, rows_, d_down});
  kernels_.SwigluBackward(d_active_, hidden_, d_hidden_);
  GateUpInputGradient();
  GateUpWeightGradient();
  kernels_.GatherSum(d_sorted_, slot_, {}, false, dx);
}

}  // namespace weft
