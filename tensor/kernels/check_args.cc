#include "tensor/kernels/check_args.h"

#include <algorithm>

namespace weft {
namespace {

void CheckVector(const ConstTensorView& v, int64_t n, const char* what) {
  WEFT_CHECK(v.shape.rank() == 1 && v.dim(0) == n, what);
}

void CheckMatrix(const ConstTensorView& v, int64_t rows, int64_t width, const char* what) {
  WEFT_CHECK(v.shape.rank() == 2 && v.dim(0) == rows && v.dim(1) == width, what);
}

// fp32 or bf16, like all others of the call. A view of no rows may have no data, and then no type.
void CheckType(const ConstTensorView& v, DType type, const char* what) {
  WEFT_CHECK(v.data == nullptr || v.dtype == type, what);
}

void CheckSameCount(const ConstTensorView& a, const ConstTensorView& b, const char* what) {
  WEFT_CHECK(a.elements() == b.elements(), what);
}

int64_t TotalOf(std::span<const int64_t> rows) {
  int64_t total = 0;
  for (const int64_t count : rows) {
    WEFT_CHECK(count >= 0, "a group has rows or none");
    total += count;
  }
  return total;
}

void CheckIndices(Indices indices, const ConstTensorView& index, int64_t lowest, int64_t limit,
                  const char* what) {
  if (indices == Indices::kOnDevice) return;
  const int32_t* values = index.as<int32_t>();
  int32_t smallest = 0;
  int32_t largest = -1;
  for (int64_t i = 0; i < index.elements(); ++i) {
    smallest = std::min(smallest, values[i]);
    largest = std::max(largest, values[i]);
  }
  WEFT_CHECK(smallest >= lowest && largest < limit, what);
}

}  // namespace

GemmShape CheckGemm(const GemmArgs& args) {
  WEFT_CHECK(args.a.shape.rank() == 2 && args.b.shape.rank() == 2, "Gemm takes matrices");
  GemmShape shape;
  shape.m = args.a.dim(args.transpose_a ? 1 : 0);
  shape.k = args.a.dim(args.transpose_a ? 0 : 1);
  shape.n = args.b.dim(args.transpose_b ? 0 : 1);
  WEFT_CHECK(args.b.dim(args.transpose_b ? 1 : 0) == shape.k, "Gemm: inner sizes are equal");
  CheckMatrix(args.c, shape.m, shape.n, "Gemm: c is [m, n]");
  if (args.a.data == nullptr) return shape;
  CheckRowsType(args.a);
  CheckType(args.b, args.a.dtype, "Gemm: a and b are of one type");
  WEFT_CHECK(args.c.data == nullptr || args.c.dtype == args.a.dtype || args.c.dtype == DType::kF32,
             "Gemm: c is of the type of a and b, or fp32");
  return shape;
}

void CheckGroupedGemm(const GroupedGemmArgs& args) {
  WEFT_CHECK(args.a.shape.rank() == 2 && args.c.shape.rank() == 2,
             "grouped products: a and c are rows");
  WEFT_CHECK(args.rows.size() == args.b.size(), "grouped products: a matrix for each group");
  const int64_t rows = TotalOf(args.rows);
  CheckMatrix(args.a, rows, args.a.dim(1), "grouped products: a has the rows of all groups");
  CheckMatrix(args.c, rows, args.c.dim(1), "grouped products: c has the rows of all groups");
  // There may be no rows, and then no a and no c.
  const DType type = args.b.empty() ? args.a.dtype : args.b.front().dtype;
  CheckRowsType(args.a);
  CheckType(args.a, type, "grouped products: a and the matrices are of one type");
  CheckType(args.c, type, "grouped products: c and the matrices are of one type");
  for (const ConstTensorView& b : args.b) {
    CheckMatrix(b, args.transpose_b ? args.c.dim(1) : args.a.dim(1),
                args.transpose_b ? args.a.dim(1) : args.c.dim(1),
                "grouped products: every matrix is [k, n], or [n, k]");
    CheckType(b, type, "grouped products: the matrices are of one type");
  }
}

void CheckGroupedWgrad(const GroupedWgradArgs& args) {
  WEFT_CHECK(args.a.shape.rank() == 2 && args.b.shape.rank() == 2,
             "grouped weight gradients: a and b are rows");
  WEFT_CHECK(args.rows.size() == args.c.size(), "grouped weight gradients: one for each group");
  const int64_t rows = TotalOf(args.rows);
  CheckMatrix(args.a, rows, args.a.dim(1), "grouped weight gradients: a has all groups' rows");
  CheckMatrix(args.b, rows, args.b.dim(1), "grouped weight gradients: b has all groups' rows");
  CheckRowsType(args.a);
  CheckType(args.b, args.a.dtype, "grouped weight gradients: a and b are of one type");
  for (const TensorView& c : args.c) {
    CheckMatrix(c, args.a.dim(1), args.b.dim(1), "grouped weight gradients: each is [m, n]");
    CheckType(c, DType::kF32, "grouped weight gradients: fp32");
  }
}

void CheckBias(const ConstTensorView& bias, const ConstTensorView& x) {
  WEFT_CHECK(x.shape.rank() == 2, "the rows a bias belongs to are a matrix");
  CheckVector(bias, x.dim(1), "bias is [n]");
  CheckRowsType(x);
  WEFT_CHECK(x.data == nullptr || bias.dtype == x.dtype || bias.dtype == DType::kF32,
             "a bias is of the type of its rows, a gradient fp32");
}

void CheckSameElements(const ConstTensorView& a, const ConstTensorView& b) {
  WEFT_CHECK(a.elements() == b.elements(), "as many elements on both sides");
  CheckRowsType(a);
  CheckType(b, a.dtype, "both sides are of one type");
}

void CheckRowsType(const ConstTensorView& x) {
  WEFT_CHECK(x.data == nullptr || x.dtype == DType::kF32 || x.dtype == DType::kBF16,
             "rows are fp32 or bf16");
}

void CheckConvert(const ConstTensorView& from, const ConstTensorView& to) {
  WEFT_CHECK(from.elements() == to.elements(), "Convert: as many elements on both sides");
  CheckRowsType(from);
  CheckRowsType(to);
}

void CheckNormForward(const NormForwardArgs& args, bool centered) {
  WEFT_CHECK(args.x.shape.rank() == 2, "norm: x is [rows, width]");
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  WEFT_CHECK(width > 0, "norm: width is positive");
  CheckMatrix(args.y, rows, width, "norm: y is [rows, width]");
  CheckVector(args.gamma, width, "norm: gamma is [width]");
  CheckVector(args.rstd, rows, "norm: rstd is [rows]");
  CheckRowsType(args.x);
  CheckType(args.x, args.gamma.dtype, "norm: x and gamma are of one type");
  CheckType(args.y, args.gamma.dtype, "norm: x and y are of one type");
  if (!centered) return;
  CheckVector(args.beta, width, "norm: beta is [width]");
  CheckType(args.beta, args.gamma.dtype, "norm: x and beta are of one type");
  CheckVector(args.mean, rows, "norm: mean is [rows]");
}

void CheckNormBackward(const NormBackwardArgs& args, bool centered) {
  WEFT_CHECK(args.x.shape.rank() == 2, "norm: x is [rows, width]");
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  CheckMatrix(args.dy, rows, width, "norm: dy is [rows, width]");
  CheckVector(args.gamma, width, "norm: gamma is [width]");
  CheckVector(args.rstd, rows, "norm: rstd is [rows]");
  if (centered) CheckVector(args.mean, rows, "norm: mean is [rows]");
  CheckRowsType(args.x);
  for (const ConstTensorView& v : {args.dy, args.x, ConstTensorView(args.dx)})
    CheckType(v, args.gamma.dtype, "norm: x, dy, gamma and dx are of one type");
  if (args.dx.data != nullptr) CheckMatrix(args.dx, rows, width, "norm: dx is [rows, width]");
  if (args.d_gamma.data == nullptr) return;
  CheckVector(args.d_gamma, width, "norm: d_gamma is [width]");
  if (centered) CheckVector(args.d_beta, width, "norm: d_beta is [width]");
}

namespace {

// What the forward and the backward of attention are given alike.
template <typename Args>
RowRange CheckAttention(const Args& args) {
  WEFT_CHECK(args.heads > 0 && args.kv_heads > 0 && args.head_dim > 0,
             "attention: heads, kv_heads and head_dim are positive");
  WEFT_CHECK(args.heads % args.kv_heads == 0, "attention: kv_heads divides heads");
  const int64_t rows = args.sequences * args.length;
  CheckMatrix(args.qkv, rows, (args.heads + 2 * args.kv_heads) * args.head_dim,
              "attention: qkv is [rows, (heads + 2 kv_heads) head_dim]");
  CheckMatrix(args.out, rows, args.heads * args.head_dim,
              "attention: out is [rows, heads head_dim]");
  WEFT_CHECK(args.lse.elements() == args.sequences * args.heads * args.length,
             "attention: lse is [sequences, heads, length]");
  CheckRowsType(args.qkv);
  CheckType(args.out, args.qkv.dtype, "attention: qkv and out are of one type");
  const RowRange range = {args.begin, args.end == kAllTokens ? rows : args.end};
  WEFT_CHECK(0 <= range.begin && range.begin <= range.end && range.end <= rows,
             "attention: [begin, end) are some of the tokens");
  const auto at_tile = [&args](int64_t token) {
    return args.length == 0 || token % args.length % kAttentionTile == 0;
  };
  WEFT_CHECK(at_tile(range.begin) && at_tile(range.end),
             "attention: a piece begins and ends with a tile of its sequence");
  return range;
}

}  // namespace

RowRange CheckAttentionForward(const AttentionForwardArgs& args) { return CheckAttention(args); }

RowRange CheckAttentionBackward(const AttentionBackwardArgs& args) {
  CheckMatrix(args.d_qkv, args.qkv.dim(0), args.qkv.dim(1), "attention: d_qkv is shaped like qkv");
  CheckMatrix(args.d_out, args.out.dim(0), args.out.dim(1), "attention: d_out is shaped like out");
  CheckType(args.d_qkv, args.qkv.dtype, "attention: qkv and d_qkv are of one type");
  CheckType(args.d_out, args.qkv.dtype, "attention: qkv and d_out are of one type");
  const RowRange range = CheckAttention(args);
  if (args.qkv.dtype == DType::kBF16 && range.count() < args.qkv.dim(0)) {
    CheckMatrix(args.d_kv, args.qkv.dim(0), 2 * args.kv_heads * args.head_dim,
                "attention: d_kv is [rows, 2 kv_heads head_dim]");
    CheckType(args.d_kv, DType::kF32, "attention: d_kv is fp32");
  }
  return range;
}

void CheckRope(const RopeArgs& args) {
  WEFT_CHECK(args.x.shape.rank() == 2 && args.begin >= 0 &&
                 args.begin + args.x.dim(0) <= args.sequences * args.length,
             "rope: x has rows of the sequences * length tokens");
  WEFT_CHECK(args.head_dim > 0 && args.head_dim % 2 == 0, "rope: head_dim is even");
  WEFT_CHECK(args.rotated_heads * args.head_dim <= args.x.dim(1), "rope: the heads fit the row");
  CheckRowsType(args.x);
}

void CheckSwiglu(const ConstTensorView& gate_up, const ConstTensorView& y) {
  WEFT_CHECK(y.shape.rank() == 2, "SwiGLU: y is [rows, n]");
  CheckMatrix(gate_up, y.dim(0), 2 * y.dim(1), "SwiGLU: gate_up is [rows, 2n]");
  CheckRowsType(y);
  CheckType(gate_up, y.dtype, "SwiGLU: gate_up and y are of one type");
}

namespace {

void CheckEmbedding(const ConstTensorView& tokens, const ConstTensorView& table,
                    const ConstTensorView& positions, int64_t length, const ConstTensorView& y,
                    Indices indices) {
  WEFT_CHECK(table.shape.rank() == 2, "embedding: table is [vocabulary, width]");
  CheckMatrix(y, tokens.elements(), table.dim(1), "embedding: y is [rows, width]");
  CheckIndices(indices, tokens, 0, table.dim(0), "embedding: every token is in the table");
  if (positions.data == nullptr) return;
  WEFT_CHECK(positions.shape.rank() == 2 && length > 0 && positions.dim(0) >= length &&
                 positions.dim(1) == table.dim(1),
             "embedding: positions is [at least length, width]");
}

}  // namespace

void CheckEmbeddingForward(const ConstTensorView& tokens, const ConstTensorView& table,
                           const ConstTensorView& positions, int64_t length,
                           const ConstTensorView& y, Indices indices) {
  CheckEmbedding(tokens, table, positions, length, y, indices);
  CheckRowsType(y);
  CheckType(y, table.dtype, "embedding: table and y are of one type");
  CheckType(positions, table.dtype, "embedding: table and positions are of one type");
}

void CheckEmbeddingBackward(const ConstTensorView& dy, const ConstTensorView& tokens,
                            int64_t length, const ConstTensorView& d_table,
                            const ConstTensorView& d_positions, Indices indices) {
  CheckEmbedding(tokens, d_table, d_positions, length, dy, indices);
  CheckRowsType(dy);
  CheckType(d_table, DType::kF32, "embedding: gradients are fp32");
}

void CheckGateForward(const GateForwardArgs& args, Indices indices) {
  WEFT_CHECK(args.logits.shape.rank() == 2, "gate: logits is [tokens, experts]");
  const int64_t tokens = args.logits.dim(0), experts = args.logits.dim(1);
  WEFT_CHECK(args.top_k > 0 && args.top_k <= experts, "gate: 1 <= top_k <= experts");
  CheckMatrix(args.probs, tokens, experts, "gate: probs is [tokens, experts]");
  CheckMatrix(args.experts, tokens, args.top_k, "gate: experts is [tokens, top_k]");
  CheckMatrix(args.weights, tokens, args.top_k, "gate: weights is [tokens, top_k]");
  if (args.forced)
    CheckIndices(indices, args.experts, 0, experts, "gate: every forced expert exists");
}

void CheckGateBackward(const GateBackwardArgs& args, Indices indices) {
  WEFT_CHECK(args.probs.shape.rank() == 2 && args.experts.shape.rank() == 2,
             "gate: probs is [tokens, experts], experts is [tokens, top_k]");
  const int64_t tokens = args.probs.dim(0), experts = args.probs.dim(1);
  const int64_t top_k = args.experts.dim(1);
  CheckMatrix(args.experts, tokens, top_k, "gate: experts is [tokens, top_k]");
  CheckMatrix(args.weights, tokens, top_k, "gate: weights is [tokens, top_k]");
  CheckMatrix(args.d_weights, tokens, top_k, "gate: d_weights is [tokens, top_k]");
  CheckMatrix(args.d_probs, tokens, experts, "gate: d_probs is [tokens, experts]");
  CheckMatrix(args.d_logits, tokens, experts, "gate: d_logits is [tokens, experts]");
  CheckRowsType(args.d_logits);
  CheckIndices(indices, args.experts, 0, experts, "gate: every chosen expert exists");
}

void CheckGather(const ConstTensorView& x, const ConstTensorView& index,
                 const ConstTensorView& weight, const ConstTensorView& y, Indices indices) {
  WEFT_CHECK(x.shape.rank() == 2, "gather: x is [rows, width]");
  CheckMatrix(y, index.elements(), x.dim(1), "gather: y is [n, width]");
  CheckIndices(indices, index, 0, x.dim(0), "gather: every index names a row of x");
  CheckRowsType(x);
  CheckType(y, x.dtype, "gather: x and y are of one type");
  WEFT_CHECK(weight.data == nullptr || weight.elements() == index.elements(),
             "gather: a weight for every index");
}

void CheckGatherSum(const ConstTensorView& x, const ConstTensorView& slot,
                    const ConstTensorView& weight, const ConstTensorView& y, Indices indices) {
  WEFT_CHECK(x.shape.rank() == 2 && slot.shape.rank() == 2, "gather: slot is [rows, k]");
  CheckMatrix(y, slot.dim(0), x.dim(1), "gather: y is [rows, width]");
  CheckIndices(indices, slot, -1, x.dim(0), "gather: every slot is -1 or names a row of x");
  CheckRowsType(x);
  CheckType(y, x.dtype, "gather: x and y are of one type");
  WEFT_CHECK(weight.data == nullptr || weight.elements() == slot.elements(),
             "gather: a weight for every slot");
}

void CheckGatherDot(const ConstTensorView& a, const ConstTensorView& x, const ConstTensorView& slot,
                    const ConstTensorView& d, Indices indices) {
  CheckGatherSum(x, slot, d, a, indices);
}

void CheckCrossEntropy(const CrossEntropyArgs& args, Indices indices) {
  WEFT_CHECK(args.logits.shape.rank() == 2, "cross-entropy: logits is [rows, vocabulary]");
  CheckVector(args.labels, args.logits.dim(0), "cross-entropy: labels is [rows]");
  CheckIndices(indices, args.labels, 0, args.logits.dim(1),
               "cross-entropy: labels are in the vocabulary");
  CheckRowsType(args.logits);
  CheckSum(args.loss_sum);
}

void CheckAssignRows(const AssignRowsArgs& args, Indices indices) {
  WEFT_CHECK(args.experts.shape.rank() == 2 && args.counts.shape.rank() == 2,
             "order: experts is [tokens, top_k], counts is [segments, slots]");
  const int64_t tokens = args.experts.dim(0), top_k = args.experts.dim(1);
  const int64_t experts = args.kept.elements();
  CheckVector(args.slots_begin, experts + 1, "order: slots_begin is [experts + 1]");
  CheckVector(args.kept, experts, "order: kept is [experts]");
  CheckVector(args.chosen, experts, "order: chosen is [experts]");
  CheckVector(args.segment_ends, args.counts.dim(0), "order: segment_ends is [segments]");
  CheckMatrix(args.slot, tokens, top_k, "order: slot is [tokens, top_k]");
  CheckMatrix(args.row, tokens, top_k, "order: row is [tokens, top_k]");
  WEFT_CHECK(args.length > 0 && args.capacity >= 0 && args.turn >= 0 && args.first_token >= 0 &&
                 args.first_token % args.length % kAttentionTile == 0,
             "order: a piece begins with a tile of its sequence");
  CheckIndices(indices, args.experts, 0, experts, "order: every chosen expert exists");
}

void CheckPlaceRows(const PlaceRowsArgs& args) {
  WEFT_CHECK(args.slot.shape.rank() == 2 && args.ends.shape.rank() == 2,
             "order: slot is [tokens, top_k], ends is [chunks, slots]");
  const int64_t tokens = args.slot.dim(0), top_k = args.slot.dim(1);
  CheckMatrix(args.row, tokens, top_k, "order: row is [tokens, top_k]");
  CheckMatrix(args.place, tokens, top_k, "order: place is [tokens, top_k]");
  CheckMatrix(args.shifts, args.ends.dim(0), args.ends.dim(1), "order: shifts is [chunks, slots]");
  CheckSameCount(args.token, args.choice, "order: token and choice are by place");
}

void CheckBalanceLoss(const BalanceLossArgs& args, Indices indices) {
  WEFT_CHECK(args.probs.shape.rank() == 2 && args.experts.shape.rank() == 2 && args.length > 0,
             "balance loss: probs is [tokens, experts], experts [tokens, top_k]");
  const int64_t tokens = args.probs.dim(0);
  WEFT_CHECK(tokens % args.length == 0, "balance loss: whole sequences");
  CheckMatrix(args.experts, tokens, args.experts.dim(1), "balance loss: experts is of all tokens");
  CheckMatrix(args.d_probs, tokens, args.probs.dim(1), "balance loss: d_probs is like probs");
  CheckIndices(indices, args.experts, 0, args.probs.dim(1),
               "balance loss: experts are of the layer");
  CheckSum(args.loss_sum);
}

void CheckCopyRows(const ConstTensorView& from, std::span<const RowBlock> blocks,
                   const ConstTensorView& to) {
  WEFT_CHECK(from.shape.rank() == 2 && to.shape.rank() == 2 && from.dim(1) == to.dim(1) &&
                 from.dtype == to.dtype,
             "copied rows are equally wide and of one type");
  for (const RowBlock& block : blocks) {
    WEFT_CHECK(block.count >= 0 && block.from >= 0 && block.from + block.count <= from.dim(0) &&
                   block.to >= 0 && block.to + block.count <= to.dim(0),
               "copied rows are in both tensors");
  }
}

void CheckSum(const ConstTensorView& sum) {
  WEFT_CHECK(sum.data != nullptr && sum.dtype == DType::kF64 && sum.elements() == 1,
             "a sum is one number in fp64");
}

void CheckAdamW(const AdamWArgs& args) {
  CheckSameElements(args.parameter, args.gradient);
  CheckSameElements(args.parameter, args.m);
  CheckSameElements(args.parameter, args.v);
  WEFT_CHECK(args.step >= 1, "AdamW: the first step is 1");
  WEFT_CHECK(args.rounded.data == nullptr || (args.rounded.dtype == DType::kBF16 &&
                                              args.rounded.elements() == args.parameter.elements()),
             "AdamW: rounded is bf16 [n]");
}

}  // namespace weft
