#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tensor/device/memory.h"
#include "tensor/kernels/attention_tile.h"
#include "tensor/kernels/grouped_method.h"
#include "tensor/row_block.h"
#include "tensor/view.h"

// Every numerical operation of the models, one method each. Three implementations: `reference`
// (plain loops, sums in double: what is right), `cpu` (oneDNN and vectorised loops: what is fast)
// and `cuda`; one contract suite holds them equal.
//
// All tensors are in memory() and row-major, and fp32 unless a comment says otherwise: "T" is fp32
// or bf16, the same for all T of a call. Sums and formulas are of fp32 at least in either case;
// what is stored in bf16 is rounded once. Weights of linear layers are [out, in]. Any row count may
// be 0. Outputs named `d_...` of parameters ACCUMULATE (+=); all other outputs are overwritten.
// Outputs do not alias inputs unless a comment allows it. A shape or a type that does not match is
// a programmer error (WEFT_CHECK).
//
// Row invariance: for every operation that maps rows to rows, the bits of an output row depend on
// that input row (and the weights) alone, never on how many rows the call has or where the row
// stands. Pipelining depends on it: cutting a batch into chunks must not change the training
// (docs/architecture.md, "Laws").

namespace weft {

// c = op(a) * op(b) (+ c when accumulate). op(a) is [m, k], op(b) is [k, n], c is [m, n].
// Row-invariant in m when transpose_a is false.
struct GemmArgs {
  ConstTensorView a;  // T [m, k], or [k, m] when transpose_a
  ConstTensorView b;  // T [k, n], or [n, k] when transpose_b
  TensorView c;       // T or fp32 [m, n]
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
};

// Products of groups of rows, each with a matrix of its own: c(g) = a(g) * op(b[g]). The rows of a
// group stand together, those of group 0 first. Row-invariant: neither other rows nor other groups
// of the call change a row's bits. They are those of Gemm under GroupedMethod::kOneByOne.
struct GroupedGemmArgs {
  ConstTensorView a;                   // T [sum of rows, k]
  std::span<const int64_t> rows;       // of each group
  std::span<const ConstTensorView> b;  // T, of each group, equally shaped: [k, n], or [n, k]
  bool transpose_b = false;
  TensorView c;  // T [sum of rows, n]
};

// Weight gradients of such products: c[g] += a(g)^T * b(g).
struct GroupedWgradArgs {
  ConstTensorView a;              // T [sum of rows, m]
  ConstTensorView b;              // T [sum of rows, n]
  std::span<const int64_t> rows;  // of each group
  std::span<const TensorView> c;  // fp32 [m, n], of each group
};

struct NormForwardArgs {
  ConstTensorView x;      // T [rows, width]
  ConstTensorView gamma;  // T [width]
  ConstTensorView beta;   // T [width]; unused by RmsNorm
  float epsilon = 1e-5f;
  TensorView y;     // T [rows, width]
  TensorView mean;  // [rows]; unused by RmsNorm
  TensorView rstd;  // [rows]
};

// Without dx, or without d_gamma and d_beta (views without data), only the other is computed: the
// gradients of rows may come in pieces, those of the parameters are one sum over all rows.
struct NormBackwardArgs {
  ConstTensorView dy;     // T [rows, width]
  ConstTensorView x;      // T [rows, width]
  ConstTensorView gamma;  // T [width]
  ConstTensorView mean;   // [rows]; unused by RmsNorm
  ConstTensorView rstd;   // [rows]
  TensorView dx;          // T [rows, width]
  TensorView d_gamma;     // [width], accumulated
  TensorView d_beta;      // [width], accumulated; unused by RmsNorm
};

// Causal self-attention with grouped queries. Head h of the queries uses key/value head h / (heads
// / kv_heads). q, k, v of token t of sequence s stand in one row of qkv: [heads * head_dim |
// kv_heads * head_dim | kv_heads * head_dim].
//
// Queries [begin, end) of the sequences * length tokens, so that attention can run in pieces with
// the bits of the whole: a boundary inside a sequence is a multiple of kAttentionTile tokens from
// its start, and in bf16 there is none on a device that computes attention_in_whole_sequences
// (ComputeDevice). Buffers are those of all tokens. The forward reads keys and values of the piece
// and of earlier tokens, and writes rows [begin, end) of out and lse. Pieces of a backward come
// from the last to the first: each completes rows [begin, end) of d_qkv and leaves in the rows
// before them, for the next piece, what its queries add to keys and values.
inline constexpr int64_t kAllTokens = -1;

struct AttentionForwardArgs {
  ConstTensorView qkv;  // T [sequences * length, (heads + 2 * kv_heads) * head_dim]
  int64_t sequences = 0, length = 0, heads = 0, kv_heads = 0, head_dim = 0;
  TensorView out;  // T [sequences * length, heads * head_dim]
  TensorView lse;  // [sequences, heads, length]: log of the softmax denominator (natural log,
                   // scaled scores)
  int64_t begin = 0, end = kAllTokens;
};

struct AttentionBackwardArgs {
  ConstTensorView qkv, out, lse;  // as in the forward
  ConstTensorView d_out;          // T [sequences * length, heads * head_dim]
  int64_t sequences = 0, length = 0, heads = 0, kv_heads = 0, head_dim = 0;
  TensorView d_qkv;  // like qkv, overwritten
  int64_t begin = 0, end = kAllTokens;
  // [sequences * length, 2 * kv_heads * head_dim]: where pieces in bf16 leave what they add to keys
  // and values of earlier tokens; nobody else uses it. Not needed in fp32, or for all tokens at
  // once.
  TensorView d_kv = {};
};

// Rotary embedding in half-split ("rotate_half") order, in place on the first `rotated_heads` heads
// of each row: pairs (x[i], x[i + head_dim / 2]) turn by position * theta^(-2 i / head_dim).
// `inverse` turns back (the backward).
struct RopeArgs {
  TensorView x;  // T [rows, row width]; heads stand at the start of the row
  int64_t sequences = 0, length = 0, rotated_heads = 0, head_dim = 0;
  float theta = 10000.0f;
  bool inverse = false;
  int64_t begin = 0;  // rows [begin, begin + rows) of the sequences * length tokens
};

// Softmax over experts, then the top k of each token; ties go to the lower expert. With `forced`
// somebody else has chosen: only the weights follow from the logits.
struct GateForwardArgs {
  ConstTensorView logits;  // [tokens, experts]
  int64_t top_k = 0;
  bool renormalize = true;  // weights of the k chosen sum to 1
  TensorView probs;         // [tokens, experts]
  TensorView experts;       // [tokens, top_k] int32, best first; forced: given, different experts
  TensorView weights;       // [tokens, top_k]
  bool forced = false;
};

// d_logits from the gradients of the chosen weights and, added, of the probabilities (the balance
// loss).
struct GateBackwardArgs {
  ConstTensorView probs;      // [tokens, experts]
  ConstTensorView experts;    // [tokens, top_k] int32
  ConstTensorView weights;    // [tokens, top_k]
  ConstTensorView d_weights;  // [tokens, top_k]
  ConstTensorView d_probs;    // [tokens, experts]
  bool renormalize = true;
  TensorView d_logits;  // T [tokens, experts]
};

// Load-balancing loss of a layer (Switch Transformer, eq. 4, per sequence): over the sequences,
// loss_sum += coefficient * sum_e f_e P_e, f_e the fraction of the sequence's choices that fell on
// e, P_e its mean probability; d_probs = the gradient of it, f_e taken as a constant.
struct BalanceLossArgs {
  ConstTensorView probs;    // [sequences * length, experts]
  ConstTensorView experts;  // [sequences * length, top_k] int32
  int64_t length = 0;       // tokens of a sequence
  double coefficient = 0;
  TensorView d_probs;   // [sequences * length, experts]
  TensorView loss_sum;  // [1] fp64, accumulated
};

// Which row of which slot every choice of some tokens is, where an expert's rows are dealt out to
// its slots in turn: the n-th row that is kept of expert e is row n / c of its slot (turn + n) mod
// c of c. Tokens come in order, a call for each piece of them; inside a sequence a piece begins at
// a multiple of kAttentionTile. An expert keeps its first `capacity` choices of every sequence.
struct AssignRowsArgs {
  ConstTensorView experts;  // int32 [tokens, top_k]: chosen, different ones by a token
  int64_t first_token = 0;  // of all tokens
  int64_t length = 0;       // tokens of a sequence
  int64_t capacity = 0;
  ConstTensorView slots_begin;  // int32 [experts + 1]: where an expert's slots begin in `slots`
  ConstTensorView slots;        // int32: different ones
  int32_t turn = 0;
  ConstTensorView segment_ends;  // int32 [segments]: of all tokens, ascending; as pieces begin
  // What the pieces before have left, in and out; zeros before the first.
  TensorView kept;       // int32 [experts]: rows so far
  TensorView chosen;     // int32 [experts]: choices so far of a sequence that is not at its end
  TensorView counts;     // int32 [segments, slots]: rows
  TensorView slot, row;  // int32 [tokens, top_k]; row -1: not kept
};

// Where these rows stand when chunks take them: chunk c takes, of slot s, the rows up to ends[c, s]
// that no chunk before it took, and row r of them stands at r + shifts[c, s]. Every row that is
// kept is in a chunk.
struct PlaceRowsArgs {
  ConstTensorView slot, row;     // int32 [tokens, top_k]: of AssignRows
  int64_t first_token = 0;       // of all tokens
  ConstTensorView ends, shifts;  // int32 [chunks, slots]
  TensorView place;              // int32 [tokens, top_k]; -1: not kept
  // By place, of all tokens: written where these rows stand.
  TensorView token;   // int32
  TensorView choice;  // int32: token * top_k + which
};

// Mean over nothing: loss_sum adds up -log softmax(logits)[label] over rows (fp64); d_logits =
// scale * gradient of it.
struct CrossEntropyArgs {
  TensorView logits;       // T [rows, vocab]; overwritten by d_logits when want_gradient
  ConstTensorView labels;  // [rows] int32, 0 <= label < vocab
  float scale = 1.0f;
  bool want_gradient = true;
  TensorView loss_sum;  // [1] fp64, accumulated
};

// Decoupled weight decay (Loshchilov and Hutter 2019), bias-corrected. m, v, parameter updated in
// place.
struct AdamWArgs {
  TensorView parameter, m, v;  // [n]
  ConstTensorView gradient;    // [n]
  TensorView rounded = {};     // bf16 [n], when given: the parameter as products read it
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  double gradient_scale = 1.0;  // the clipping factor, applied to the gradient first
  int64_t step = 1;             // 1 for the first update
};

// One thread at a time may call one object; any number may call Add and CopyRows beside it, which
// exchanges use.
class Kernels {
 public:
  virtual ~Kernels() = default;

  // Where the tensors of all operations live.
  virtual Memory& memory() = 0;

  // The ways in which it can compute products of groups, what it takes for fastest first, and the
  // one that it uses: at first that one. A way of another name may have other bits.
  virtual std::span<const GroupedMethod> grouped_methods() const = 0;
  virtual GroupedMethod grouped_method() const = 0;
  // Not beside a call. REQUIRES: one of grouped_methods().
  virtual void UseGroupedMethod(GroupedMethod method) = 0;

  virtual void Gemm(const GemmArgs& args) = 0;
  virtual void GroupedGemm(const GroupedGemmArgs& args) = 0;
  virtual void GroupedWgrad(const GroupedWgradArgs& args) = 0;
  // x [rows, n] += bias [n]; both T.
  virtual void AddBias(ConstTensorView bias, TensorView x) = 0;
  // d_bias [n] += column sums of dy T [rows, n].
  virtual void BiasBackward(ConstTensorView dy, TensorView d_bias) = 0;
  // y = a + b; all T; y may alias a or b.
  virtual void Add(ConstTensorView a, ConstTensorView b, TensorView y) = 0;
  // x *= factor; x T.
  virtual void Scale(float factor, TensorView x) = 0;
  // The same numbers in another type: fp32 to bf16, or back.
  virtual void Convert(ConstTensorView from, TensorView to) = 0;
  virtual void LayerNormForward(const NormForwardArgs& args) = 0;
  virtual void LayerNormBackward(const NormBackwardArgs& args) = 0;
  virtual void RmsNormForward(const NormForwardArgs& args) = 0;
  virtual void RmsNormBackward(const NormBackwardArgs& args) = 0;
  virtual void Rope(const RopeArgs& args) = 0;
  virtual void AttentionForward(const AttentionForwardArgs& args) = 0;
  virtual void AttentionBackward(const AttentionBackwardArgs& args) = 0;

  // y = gelu(x), the tanh form ("gelu_new" of GPT-2). x, y T [rows, n].
  virtual void GeluForward(ConstTensorView x, TensorView y) = 0;
  // dx = dy * gelu'(x); all T; dx may alias dy.
  virtual void GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) = 0;
  // gate_up T [rows, 2n] holds gate | up; y T [rows, n] = silu(gate) * up.
  virtual void SwigluForward(ConstTensorView gate_up, TensorView y) = 0;
  // d_gate_up T [rows, 2n] from dy T [rows, n].
  virtual void SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                              TensorView d_gate_up) = 0;

  // y[t] = table[tokens[t]] (+ positions[t mod length] when positions.data). tokens [rows] int32;
  // table, positions, y T.
  virtual void EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                ConstTensorView positions, int64_t length, TensorView y) = 0;
  // d_table[tokens[t]] += dy[t], d_positions[t mod length] += dy[t], in token order. dy T.
  virtual void EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                 TensorView d_table, TensorView d_positions) = 0;

  virtual void GateForward(const GateForwardArgs& args) = 0;
  virtual void GateBackward(const GateBackwardArgs& args) = 0;

  virtual void BalanceLoss(const BalanceLossArgs& args) = 0;
  virtual void AssignRows(const AssignRowsArgs& args) = 0;
  virtual void PlaceRows(const PlaceRowsArgs& args) = 0;

  // Rows of `from` to where they belong in `to`; both [rows, width] of any one type. Blocks, which
  // are on the host, do not overlap in `to`; rows between them are left alone.
  virtual void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) = 0;
  // y[i] = x[index[i]]; index [n] int32 into x's rows; x T [rows, width], y T [n, width].
  virtual void GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) = 0;
  // y[i] = weight[i] * x[index[i]]; x, y T; weight fp32 [n].
  virtual void GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                                TensorView y) = 0;
  // y[t] (+)= sum over j of weight[t, j] * x[slot[t, j]], j ascending; slot [rows, k] int32, -1:
  // dropped, adds nothing. weight fp32 [rows, k] may be empty (data == nullptr): all 1. With
  // `accumulate` the sum is added to y. x, y T.
  virtual void GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                         bool accumulate, TensorView y) = 0;
  // d[t, j] = dot(a[t], x[slot[t, j]]), 0 where the slot is -1: the gradient of GatherSum's
  // weights. a, x T [rows, width]; d fp32.
  virtual void GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                         TensorView d) = 0;

  virtual void CrossEntropy(const CrossEntropyArgs& args) = 0;
  virtual void AdamW(const AdamWArgs& args) = 0;
  // sum [1] fp64 += the sum of x squared, added up in fp64 and in a fixed order.
  virtual void SumOfSquares(ConstTensorView x, TensorView sum) = 0;
};

std::unique_ptr<Kernels> MakeReferenceKernels();  // tensor/kernels/reference
std::unique_ptr<Kernels>
MakeCpuKernels();  // tensor/kernels/cpu; one thread, bits fixed on one machine

}  // namespace weft
