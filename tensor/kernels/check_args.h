#pragma once

#include "tensor/kernels/kernels.h"
#include "tensor/row_range.h"

// The shapes every implementation asks for, checked once for all of them. A shape that does not
// match is a programmer error: these functions abort. Called first in every method of every
// Kernels.

namespace weft {

// Where the indices are that a call names rows, tokens and experts by. A wrong one reads or writes
// anywhere: on the host a pass over them costs little beside the rows they name.
enum class Indices : uint8_t { kOnHost, kOnDevice };

// m, k, n of op(a) * op(b).
struct GemmShape {
  int64_t m = 0, k = 0, n = 0;
};

GemmShape CheckGemm(const GemmArgs& args);
void CheckGroupedGemm(const GroupedGemmArgs& args);
void CheckGroupedWgrad(const GroupedWgradArgs& args);
void CheckBias(const ConstTensorView& bias, const ConstTensorView& x);
// As many elements, of one type T.
void CheckSameElements(const ConstTensorView& a, const ConstTensorView& b);
void CheckRowsType(const ConstTensorView& x);  // T
void CheckConvert(const ConstTensorView& from, const ConstTensorView& to);
void CheckNormForward(const NormForwardArgs& args, bool centered);  // centered: LayerNorm
void CheckNormBackward(const NormBackwardArgs& args, bool centered);
// The queries that are wanted.
RowRange CheckAttentionForward(const AttentionForwardArgs& args);
RowRange CheckAttentionBackward(const AttentionBackwardArgs& args);
void CheckRope(const RopeArgs& args);
void CheckSwiglu(const ConstTensorView& gate_up, const ConstTensorView& y);
void CheckEmbeddingForward(const ConstTensorView& tokens, const ConstTensorView& table,
                           const ConstTensorView& positions, int64_t length,
                           const ConstTensorView& y, Indices indices = Indices::kOnHost);
void CheckEmbeddingBackward(const ConstTensorView& dy, const ConstTensorView& tokens,
                            int64_t length, const ConstTensorView& d_table,
                            const ConstTensorView& d_positions, Indices indices = Indices::kOnHost);
void CheckGateForward(const GateForwardArgs& args, Indices indices = Indices::kOnHost);
void CheckGateBackward(const GateBackwardArgs& args, Indices indices = Indices::kOnHost);
// weight may be empty.
void CheckGather(const ConstTensorView& x, const ConstTensorView& index,
                 const ConstTensorView& weight, const ConstTensorView& y,
                 Indices indices = Indices::kOnHost);
void CheckGatherSum(const ConstTensorView& x, const ConstTensorView& slot,
                    const ConstTensorView& weight, const ConstTensorView& y,
                    Indices indices = Indices::kOnHost);
void CheckGatherDot(const ConstTensorView& a, const ConstTensorView& x, const ConstTensorView& slot,
                    const ConstTensorView& d, Indices indices = Indices::kOnHost);
void CheckCrossEntropy(const CrossEntropyArgs& args, Indices indices = Indices::kOnHost);
void CheckAssignRows(const AssignRowsArgs& args, Indices indices = Indices::kOnHost);
void CheckPlaceRows(const PlaceRowsArgs& args);
void CheckBalanceLoss(const BalanceLossArgs& args, Indices indices = Indices::kOnHost);
void CheckCopyRows(const ConstTensorView& from, std::span<const RowBlock> blocks,
                   const ConstTensorView& to);
void CheckSum(const ConstTensorView& sum);
void CheckAdamW(const AdamWArgs& args);

}  // namespace weft
