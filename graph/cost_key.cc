#include "graph/cost_key.h"

#include <array>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace weft {
namespace {

constexpr std::array<std::string_view, 36> kKindNames = {"embedding",
                                                         "mp_all_gather",
                                                         "mp_reduce_scatter",
                                                         "attention",
                                                         "dense_ffn",
                                                         "router",
                                                         "shared_expert",
                                                         "counts_all_to_all",
                                                         "counts_all_gather",
                                                         "counts_node_gather",
                                                         "dispatch",
                                                         "esp_all_gather",
                                                         "expert",
                                                         "esp_reduce_scatter",
                                                         "combine",
                                                         "expert_weights",
                                                         "expert_grad_return",
                                                         "expert_shard_gather",
                                                         "expert_shard_reduce",
                                                         "unpermute",
                                                         "head",
                                                         "expert_wgrad",
                                                         "shared_expert_wgrad",
                                                         "attention_wgrad",
                                                         "grad_reduce_scatter",
                                                         "grad_all_reduce",
                                                         "grad_all_gather",
                                                         "grad_node_reduce_scatter",
                                                         "param_node_all_gather",
                                                         "param_all_gather",
                                                         "expert_grad_all_reduce",
                                                         "expert_grad_reduce_scatter",
                                                         "expert_param_all_gather",
                                                         "grad_norm",
                                                         "step_reduction",
                                                         "optimizer"};
static_assert(kKindNames.size() == static_cast<size_t>(OpKind::kOptimizer) + 1);
constexpr std::array<std::string_view, 3> kDirectionNames = {"", "fwd", "bwd"};
constexpr std::array<std::string_view, 3> kStreamNames = {"compute", "intra", "inter"};
constexpr std::array<std::string_view, 12> kGroupNames = {
    "none", "world",   "intra",    "inter",     "ep", "esp",
    "edp",  "ep_node", "ep_peers", "ep_across", "mp", "mp_peers"};
static_assert(kGroupNames.size() == static_cast<size_t>(GroupKind::kMpPeers) + 1);
constexpr std::array<std::string_view, 3> kLinkNames = {"none", "intra", "inter"};
constexpr std::array<DType, 6> kDTypes = {DType::kF32, DType::kBF16, DType::kF64,
                                          DType::kI32, DType::kI64,  DType::kU8};

constexpr std::string_view kSmLimit = "sms";  // "dispatch/ep8/intra/u8/sms16"

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// Index of `name` in `names`, -1 when absent.
template <size_t n>
int Find(const std::array<std::string_view, n>& names, std::string_view name) {
  for (size_t i = 0; i < n; ++i) {
    if (names[i] == name) return static_cast<int>(i);
  }
  return -1;
}

absl::Status BadKey(std::string_view text, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("cost key '", View(text), "': expected ",
                                                 View(expected),
                                                 ", as in 'dispatch.bwd/ep2/inter/f32'"));
}

// "ep2" -> group and size.
bool ParseGroup(std::string_view text, CostKey& key) {
  const size_t digits = text.find_first_of("0123456789");
  if (digits == std::string_view::npos) return false;
  const int group = Find(kGroupNames, text.substr(0, digits));
  int32_t size = 0;
  if (group < 0 || !absl::SimpleAtoi(View(text.substr(digits)), &size) || size < 1) return false;
  key.group = static_cast<GroupKind>(group);
  key.group_size = size;
  return true;
}

enum class Collective : uint8_t {
  kNone,
  kAllToAll,
  kAllGather,
  kReduceScatter,
  kAllReduce,
  // A few numbers: latency, and whatever keeps a rank from answering at once.
  kSmallAllToAll,
  kSmallAllGather,
};

Collective CollectiveOf(OpKind kind) {
  switch (kind) {
    case OpKind::kCountsAllToAll:
      return Collective::kSmallAllToAll;
    case OpKind::kCountsAllGather:
    case OpKind::kCountsNodeGather:
    case OpKind::kStepReduction:
      return Collective::kSmallAllGather;
    case OpKind::kDispatch:
    case OpKind::kCombine:
    case OpKind::kExpertWeights:
    case OpKind::kExpertGradReturn:
      return Collective::kAllToAll;
    case OpKind::kEspAllGather:
    case OpKind::kExpertShardGather:
    case OpKind::kMpAllGather:
    case OpKind::kGradAllGather:
    case OpKind::kParamNodeAllGather:
    case OpKind::kParamAllGather:
    case OpKind::kExpertParamAllGather:
      return Collective::kAllGather;
    case OpKind::kEspReduceScatter:
    case OpKind::kExpertShardReduce:
    case OpKind::kMpReduceScatter:
    case OpKind::kGradReduceScatter:
    case OpKind::kGradNodeReduceScatter:
    case OpKind::kExpertGradReduceScatter:
      return Collective::kReduceScatter;
    case OpKind::kGradAllReduce:
    case OpKind::kExpertGradAllReduce:
      return Collective::kAllReduce;
    default:
      return Collective::kNone;
  }
}

}  // namespace

bool IsWeightGradient(OpKind kind) {
  return kind == OpKind::kExpertWgrad || kind == OpKind::kSharedExpertWgrad ||
         kind == OpKind::kAttentionWgrad;
}

std::string_view Name(OpKind kind) { return kKindNames[static_cast<size_t>(kind)]; }
std::string_view Name(Direction d) { return kDirectionNames[static_cast<size_t>(d)]; }
std::string_view Name(StreamKind stream) { return kStreamNames[static_cast<size_t>(stream)]; }
std::string_view Name(GroupKind group) { return kGroupNames[static_cast<size_t>(group)]; }
std::string_view Name(LinkClass link) { return kLinkNames[static_cast<size_t>(link)]; }

std::string ToString(const CostKey& key) {
  std::string text(Name(key.kind));
  if (key.direction != Direction::kNone) absl::StrAppend(&text, ".", View(Name(key.direction)));
  if (key.group != GroupKind::kNone || key.group_size != 1) {
    absl::StrAppend(&text, "/", View(Name(key.group)), key.group_size);
  }
  if (key.link != LinkClass::kNone) absl::StrAppend(&text, "/", View(Name(key.link)));
  absl::StrAppend(&text, "/", View(Name(key.dtype)));
  if (key.shape_class != 0) absl::StrAppend(&text, "/", absl::Hex(key.shape_class));
  if (key.sm_limit != 0) absl::StrAppend(&text, "/", View(kSmLimit), key.sm_limit);
  return text;
}

absl::StatusOr<CostKey> ParseCostKey(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(View(text), '/');
  CostKey key;
  size_t next = 0;

  const size_t dot = parts[0].find('.');
  const int kind = Find(kKindNames, std::string_view(parts[0]).substr(0, dot));
  if (kind < 0) return BadKey(text, "the name of an operation first");
  key.kind = static_cast<OpKind>(kind);
  if (dot != std::string::npos) {
    const int direction = Find(kDirectionNames, std::string_view(parts[0]).substr(dot + 1));
    if (direction <= 0) return BadKey(text, "'fwd' or 'bwd' after the dot");
    key.direction = static_cast<Direction>(direction);
  }
  ++next;

  if (next < parts.size() && ParseGroup(parts[next], key)) ++next;
  if (next < parts.size()) {
    const int link = Find(kLinkNames, parts[next]);
    if (link > 0) {
      key.link = static_cast<LinkClass>(link);
      ++next;
    }
  }
  bool has_dtype = false;
  for (const DType dtype : kDTypes) {
    if (next < parts.size() && parts[next] == Name(dtype)) {
      key.dtype = dtype;
      has_dtype = true;
      ++next;
      break;
    }
  }
  if (!has_dtype) return BadKey(text, "a group with its size, a link and an element type");
  const auto limited = [&] { return absl::StartsWith(parts[next], View(kSmLimit)); };
  if (next < parts.size() && !limited()) {
    if (!absl::SimpleHexAtoi(parts[next], &key.shape_class) || key.shape_class == 0) {
      return BadKey(text, "a hexadecimal shape after the element type");
    }
    ++next;
  }
  if (next < parts.size() && limited() && key.group != GroupKind::kNone) {
    if (!absl::SimpleAtoi(parts[next].substr(kSmLimit.size()), &key.sm_limit) || key.sm_limit < 1) {
      return BadKey(text, "'sms' and a number of multiprocessors at the end");
    }
    ++next;
  }
  if (next != parts.size() || ToString(key) != text) return BadKey(text, "nothing more");
  return key;
}

CostKey CalibrationKey(const CostKey& key) {
  const Collective collective = CollectiveOf(key.kind);
  if (collective == Collective::kNone) return key;
  CostKey shared = key;
  shared.direction = Direction::kNone;
  shared.shape_class = 0;
  switch (collective) {
    case Collective::kAllToAll:
      shared.kind = OpKind::kDispatch;
      shared.dtype = DType::kU8;
      break;
    case Collective::kAllGather:
      shared.kind = OpKind::kEspAllGather;
      shared.dtype = DType::kU8;
      break;
    case Collective::kSmallAllToAll:
      shared.kind = OpKind::kCountsAllToAll;
      shared.dtype = DType::kU8;
      break;
    case Collective::kSmallAllGather:
      shared.kind = OpKind::kCountsAllGather;
      shared.dtype = DType::kU8;
      break;
    case Collective::kReduceScatter:
      shared.kind = OpKind::kEspReduceScatter;
      break;
    default:
      shared.kind = OpKind::kGradAllReduce;
      break;
  }
  return shared;
}

}  // namespace weft
