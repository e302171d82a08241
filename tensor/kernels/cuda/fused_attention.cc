#include "tensor/kernels/cuda/fused_attention.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

constexpr int64_t kAlignment = 16;  // bytes, of every address
constexpr int64_t kMostHeadDim = 128;

bool Aligned(const ConstTensorView& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.data) % kAlignment == 0;
}
bool Aligned(const AttentionForwardArgs& args) { return Aligned(args.qkv) && Aligned(args.out); }
bool Aligned(const AttentionBackwardArgs& args) {
  return Aligned(args.qkv) && Aligned(args.out) && Aligned(args.d_out) && Aligned(args.d_qkv);
}

// `sequences` of all heads.
template <typename Args>
AttentionShape ShapeOf(const Args& args, int64_t sequences) {
  return {.sequences = sequences,
          .length = args.length,
          .heads = args.heads,
          .kv_heads = args.kv_heads,
          .head_dim = args.head_dim,
          .qkv_row = (args.heads + 2 * args.kv_heads) * args.head_dim,
          .out_row = args.heads * args.head_dim};
}

// The part of a shape that has these heads of keys and values, with their queries.
AttentionShape WithHeads(AttentionShape shape, int64_t kv_heads) {
  shape.heads = shape.heads / shape.kv_heads * kv_heads;
  shape.kv_heads = kv_heads;
  return shape;
}

// Where the first numbers of a part stand in the tensors of all.
struct Offsets {
  int64_t q, k, v, out, lse;
};

template <typename Args>
Offsets OffsetsOf(const Args& args, const AttentionShape& part, int64_t sequence, int64_t kv_head) {
  const int64_t head = args.heads / args.kv_heads * kv_head;
  const int64_t row = sequence * args.length;
  const int64_t keys = row * part.qkv_row + (args.heads + kv_head) * args.head_dim;
  return {.q = row * part.qkv_row + head * args.head_dim,
          .k = keys,
          .v = keys + args.kv_heads * args.head_dim,
          .out = row * part.out_row + head * args.head_dim,
          .lse = (sequence * args.heads + head) * args.length};
}

}  // namespace

bool FusedAttention::Forward(const AttentionForwardArgs& args, RowRange tokens) {
  return ForEachPart(args, tokens, [&](const AttentionShape& part, const Offsets& at) {
    const auto* const qkv = args.qkv.as<BFloat16>();
    Issued(library_.Forward(part,
                            {.q = qkv + at.q,
                             .k = qkv + at.k,
                             .v = qkv + at.v,
                             .out = args.out.as<BFloat16>() + at.out,
                             .lse = args.lse.as<float>() + at.lse},
                            Workspace(AttentionDirection::kForward, part), queue_.stream()),
           "AttentionForward", part);
  });
}

bool FusedAttention::Backward(const AttentionBackwardArgs& args, RowRange tokens) {
  return ForEachPart(args, tokens, [&](const AttentionShape& part, const Offsets& at) {
    const auto* const qkv = args.qkv.as<BFloat16>();
    auto* const d_qkv = args.d_qkv.as<BFloat16>();
    Issued(library_.Backward(part,
                             {.q = qkv + at.q,
                              .k = qkv + at.k,
                              .v = qkv + at.v,
                              .out = args.out.as<BFloat16>() + at.out,
                              .d_out = args.d_out.as<BFloat16>() + at.out,
                              .lse = args.lse.as<float>() + at.lse,
                              .dq = d_qkv + at.q,
                              .dk = d_qkv + at.k,
                              .dv = d_qkv + at.v},
                             Workspace(AttentionDirection::kBackward, part), queue_.stream()),
           "AttentionBackward", part);
  });
}

template <typename Args, typename F>
bool FusedAttention::ForEachPart(const Args& args, RowRange tokens, F run) {
  if (args.qkv.dtype != DType::kBF16 || args.head_dim % 8 != 0 || args.head_dim > kMostHeadDim ||
      !Aligned(args)) {
    return false;
  }
  queue_.stream();  // selects the device, for which plans are made
  const std::optional<Cut>& cut = CutOf(ShapeOf(args, 1));
  if (!cut.has_value()) return false;
  WEFT_CHECK(tokens.begin % args.length == 0 && tokens.end % args.length == 0,
             "pieces of attention by cuDNN begin and end where sequences do");
  const int64_t end = tokens.end / args.length;
  for (int64_t first = tokens.begin / args.length; first < end; first += cut->sequences) {
    const AttentionShape some = ShapeOf(args, std::min(cut->sequences, end - first));
    const AttentionShape part = WithHeads(some, cut->kv_heads);
    for (int64_t kv_head = 0; kv_head < args.kv_heads; kv_head += cut->kv_heads)
      run(part, OffsetsOf(args, part, first, kv_head));
  }
  return true;
}

const std::optional<FusedAttention::Cut>& FusedAttention::CutOf(const AttentionShape& whole) {
  const auto found = cuts_.find(whole);
  if (found != cuts_.end()) return found->second;
  return cuts_.emplace(whole, Choose(whole)).first->second;
}

std::optional<FusedAttention::Cut> FusedAttention::Choose(const AttentionShape& whole) {
  for (int64_t kv_heads = whole.kv_heads; kv_heads > 0; --kv_heads) {
    if (whole.kv_heads % kv_heads != 0) continue;
    const AttentionShape part = WithHeads(whole, kv_heads);
    const auto forward = library_.Plan(AttentionDirection::kForward, part);
    const auto backward = library_.Plan(AttentionDirection::kBackward, part);
    if (!forward.ok() || !backward.ok()) return std::nullopt;
    const int64_t needed = std::max(forward->workspace_bytes, backward->workspace_bytes);
    const int64_t most = library_.most_workspace_bytes();
    if (needed > most) continue;
    const bool all = kv_heads == whole.kv_heads;
    return Cut{kv_heads, all ? most / std::max<int64_t>(needed, 1) : 1};
  }
  return std::nullopt;
}

void* FusedAttention::Workspace(AttentionDirection direction, const AttentionShape& shape) {
  // Without a plan there is no run, whose error says why.
  const auto plan = library_.Plan(direction, shape);
  if (plan.ok()) workspace_.Reserve(plan->workspace_bytes);
  return workspace_.data();
}

void FusedAttention::Issued(const absl::Status& status, const char* what,
                            const AttentionShape& shape) {
  if (status.ok()) {
    queue_.Issued(cudaSuccess, what);
  } else {
    // The own kernel would give these sequences other bits than the rest has.
    queue_.Failed(absl::StrCat(what, " of ", shape.sequences, " sequences of ", shape.length,
                               " tokens by ", library_.description(), ": ", status.message()));
  }
}

std::string DescribeAttention(const absl::StatusOr<std::unique_ptr<CudnnAttention>>& library) {
  if (library.ok()) return absl::StrCat("attention in bf16 by ", (*library)->description());
  return absl::StrCat("attention without cuDNN and slow: ", library.status().message());
}

}  // namespace weft
