#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "tensor/device/buffer.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// One MoE layer's experts on one device, without a gate: SwiGLU experts of [2 * width, hidden] and
// [hidden, width], each token to top_k of them.
struct ExpertLayerSizes {
  int64_t tokens = 0, hidden = 0, width = 0, experts = 0, top_k = 0;

  double rows() const { return static_cast<double>(tokens * top_k); }
  double forward_flops() const {
    return 6 * rows() * static_cast<double>(hidden) * static_cast<double>(width);
  }
  double backward_flops() const { return 2 * forward_flops(); }
};

enum class ExpertLoad : uint8_t {
  kBalanced,  // as many rows for every expert
  kRandom,    // every token chooses top_k different experts, all equally likely
};

// The experts of each token, [tokens * top_k]; the same every time.
std::vector<int32_t> ChooseExperts(const ExpertLayerSizes& sizes, ExpertLoad load);

// Computes the layer as a training step does: rows are put in the order of their experts, go
// through three products of groups, and each token gets the weighted sum of its rows. The backward
// computes all gradients; those of weights are fp32 and add up. Operands are numbers around zero,
// the same every time; tests may overwrite them.
class ExpertLayer {
 public:
  // `kernels` outlives the layer.
  ExpertLayer(Kernels& kernels, const ExpertLayerSizes& sizes, ExpertLoad load, DType type);

  void Forward();
  void Backward();  // REQUIRES: after Forward

  // One product of groups each, of 4 * rows * hidden * width operations.
  void GateUpForward();
  void GateUpInputGradient();
  void GateUpWeightGradient();

  // T [rows, 2 * width]: what GateUpForward writes.
  TensorView wide() const { return hidden_; }

  TensorView x, y, dy, dx;                    // T [tokens, hidden]
  TensorView weights, d_weights;              // [tokens, top_k]
  std::vector<TensorView> gate_up, down;      // T, of each expert
  std::vector<TensorView> d_gate_up, d_down;  // fp32

 private:
  TensorView Make(DType type, const Shape& shape);
  TensorView Random(DType type, const Shape& shape, float scale);
  TensorView Ints(const std::vector<int32_t>& values, const Shape& shape);
  void Order(ExpertLoad load);

  Kernels& kernels_;
  const ExpertLayerSizes sizes_;
  const DType type_;
  std::deque<Buffer> buffers_;
  std::vector<int64_t> rows_;  // of each expert
  std::vector<ConstTensorView> gate_up_read_, down_read_;
  // Of the rows in the order of experts: their tokens and weights. Of tokens: their rows.
  TensorView token_, row_weight_, slot_, order_;
  TensorView sorted_, hidden_, active_, out_;          // T, of rows
  TensorView d_out_, d_active_, d_hidden_, d_sorted_;  // T, of rows
};

}  // namespace weft
