#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/kernels.h"
#include "tensor/row_range.h"

namespace weft {

class FusedAttention;
class CudaProducts;

// The operations on a CUDA device, a family in each file of this folder. Calls give work to the
// queue's stream and return; nothing is allocated once the largest shapes have been seen. Indices
// are not checked: they are where the host does not read. Row-invariant throughout, without
// atomics: the same arguments give the same bits.
class CudaKernels final : public Kernels {
 public:
  // The first two outlive the kernels; `memory` is of the queue's device. `attention` may be null:
  // all of it is the tiled kernel's.
  CudaKernels(CudaQueue& queue, Memory& memory, std::unique_ptr<CudaProducts> products,
              std::unique_ptr<FusedAttention> attention);
  ~CudaKernels() override;

  Memory& memory() override { return memory_; }

  std::span<const GroupedMethod> grouped_methods() const override;
  GroupedMethod grouped_method() const override;
  void UseGroupedMethod(GroupedMethod method) override;

  void Gemm(const GemmArgs& args) override;
  void GroupedGemm(const GroupedGemmArgs& args) override;
  void GroupedWgrad(const GroupedWgradArgs& args) override;
  void AddBias(ConstTensorView bias, TensorView x) override;
  void BiasBackward(ConstTensorView dy, TensorView d_bias) override;
  void Add(ConstTensorView a, ConstTensorView b, TensorView y) override;
  void Scale(float factor, TensorView x) override;
  void Convert(ConstTensorView from, TensorView to) override;
  void LayerNormForward(const NormForwardArgs& args) override;
  void LayerNormBackward(const NormBackwardArgs& args) override;
  void RmsNormForward(const NormForwardArgs& args) override;
  void RmsNormBackward(const NormBackwardArgs& args) override;
  void Rope(const RopeArgs& args) override;
  void AttentionForward(const AttentionForwardArgs& args) override;
  void AttentionBackward(const AttentionBackwardArgs& args) override;
  void GeluForward(ConstTensorView x, TensorView y) override;
  void GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) override;
  void SwigluForward(ConstTensorView gate_up, TensorView y) override;
  void SwigluBackward(ConstTensorView dy, ConstTensorView gate_up, TensorView d_gate_up) override;
  void EmbeddingForward(ConstTensorView tokens, ConstTensorView table, ConstTensorView positions,
                        int64_t length, TensorView y) override;
  void EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                         TensorView d_table, TensorView d_positions) override;
  void GateForward(const GateForwardArgs& args) override;
  void GateBackward(const GateBackwardArgs& args) override;
  void BalanceLoss(const BalanceLossArgs& args) override;
  void AssignRows(const AssignRowsArgs& args) override;
  void PlaceRows(const PlaceRowsArgs& args) override;
  void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) override;
  void GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) override;
  void GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                        TensorView y) override;
  void GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight, bool accumulate,
                 TensorView y) override;
  void GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot, TensorView d) override;
  void CrossEntropy(const CrossEntropyArgs& args) override;
  void AdamW(const AdamWArgs& args) override;
  void SumOfSquares(ConstTensorView x, TensorView sum) override;

 private:
  // sum += parts[0] + parts[1] + ..., in that order.
  void AddParts(const double* parts, int64_t count, double* sum);
  // `weight` may be null.
  void Gather(const char* name, const ConstTensorView& x, const ConstTensorView& index,
              const float* weight, const TensorView& y);
  void TiledAttentionForward(const AttentionForwardArgs& args, RowRange tokens);
  void TiledAttentionBackward(const AttentionBackwardArgs& args, RowRange tokens);
  void NormForward(const NormForwardArgs& args, bool centered);
  void NormBackward(const NormBackwardArgs& args, bool centered);

  struct RopeTable {
    int64_t length = 0;
    Buffer cosine, sine;  // [length, head_dim / 2]
  };
  const RopeTable& TableOf(int64_t length, int64_t head_dim, float theta);

  CudaQueue& queue_;
  Memory& memory_;
  Buffer scratch_;  // of one call; the next one of the stream may overwrite it
  std::unique_ptr<CudaProducts> products_;
  std::unique_ptr<FusedAttention> attention_;
  std::map<std::pair<int64_t, float>, RopeTable> rope_tables_;  // by head_dim and theta
};

}  // namespace weft
