#include "tensor/kernels/host_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {

std::span<const GroupedMethod> HostKernels::grouped_methods() const {
  static constexpr GroupedMethod kMethods[] = {GroupedMethod::kOneByOne};
  return kMethods;
}

void HostKernels::UseGroupedMethod(GroupedMethod method) {
  WEFT_CHECK(method == GroupedMethod::kOneByOne, "no kernel of the host computes groups at once");
}

void HostKernels::GroupedGemm(const GroupedGemmArgs& args) { GemmOfEachGroup(*this, args); }
void HostKernels::GroupedWgrad(const GroupedWgradArgs& args) { WgradOfEachGroup(*this, args); }

void HostKernels::Convert(ConstTensorView from, TensorView to) {
  CheckConvert(from, to);
  const int64_t count = to.elements();
  if (from.dtype == to.dtype) {
    memory().Copy(from, to);
  } else if (to.dtype == DType::kBF16) {
    const float* const wide = from.as<float>();
    auto* const narrow = to.as<BFloat16>();
    for (int64_t i = 0; i < count; ++i) narrow[i] = BFloat16::FromFloat(wide[i]);
  } else {
    const auto* const narrow = from.as<BFloat16>();
    float* const wide = to.as<float>();
    for (int64_t i = 0; i < count; ++i) wide[i] = narrow[i].ToFloat();
  }
}

void HostKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) {
  CheckCopyRows(from, blocks, to);
  const int64_t row_bytes = to.dim(1) * SizeOf(to.dtype);
  const char* const source = static_cast<const char*>(from.data);
  char* const target = static_cast<char*>(to.data);
  for (const RowBlock& block : blocks) {
    if (block.count == 0) continue;
    std::memcpy(target + block.to * row_bytes, source + block.from * row_bytes,
                static_cast<size_t>(block.count * row_bytes));
  }
}

void HostKernels::BalanceLoss(const BalanceLossArgs& args) {
  CheckBalanceLoss(args);
  const int64_t experts = args.probs.dim(1);
  const int64_t k = args.experts.dim(1);
  const float* const probs = args.probs.as<float>();
  const int32_t* const chosen = args.experts.as<int32_t>();
  float* const d_probs = args.d_probs.as<float>();
  double* const loss = args.loss_sum.as<double>();
  const auto length = static_cast<double>(args.length);
  // Of one sequence, by expert; kept, because a warm step allocates nothing.
  static thread_local std::vector<int64_t> counts;
  static thread_local std::vector<double> sums;
  for (int64_t first = 0; first < args.probs.dim(0); first += args.length) {
    const int64_t last = first + args.length;
    counts.assign(static_cast<size_t>(experts), 0);
    sums.assign(static_cast<size_t>(experts), 0.0);
    for (int64_t i = first * k; i < last * k; ++i) ++counts[static_cast<size_t>(chosen[i])];
    for (int64_t t = first; t < last; ++t) {
      for (int64_t e = 0; e < experts; ++e) sums[static_cast<size_t>(e)] += probs[t * experts + e];
    }
    for (int64_t e = 0; e < experts; ++e) {
      const double fraction = static_cast<double>(counts[static_cast<size_t>(e)]) /
                              static_cast<double>(k * args.length);
      *loss += args.coefficient * fraction * sums[static_cast<size_t>(e)] / length;
      const auto gradient = static_cast<float>(args.coefficient * fraction / length);
      for (int64_t t = first; t < last; ++t) d_probs[t * experts + e] = gradient;
    }
  }
}

void HostKernels::AssignRows(const AssignRowsArgs& args) {
  CheckAssignRows(args);
  const int64_t tokens = args.experts.dim(0), k = args.experts.dim(1);
  const int64_t experts = args.kept.elements(), slots = args.counts.dim(1);
  const auto* const chosen = args.experts.as<int32_t>();
  const auto* const slots_begin = args.slots_begin.as<int32_t>();
  const auto* const ends = args.segment_ends.as<int32_t>();
  auto* const kept = args.kept.as<int32_t>();
  auto* const of_sequence = args.chosen.as<int32_t>();
  auto* counts = args.counts.as<int32_t>();
  int64_t segment = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t token = args.first_token + t;
    if (token % args.length == 0) std::fill_n(of_sequence, experts, 0);
    for (; ends[segment] <= token; ++segment) counts += slots;
    for (int64_t i = t * k; i < (t + 1) * k; ++i) {
      const int32_t e = chosen[i];
      int32_t& slot = args.slot.as<int32_t>()[i];
      int32_t& row = args.row.as<int32_t>()[i];
      if (of_sequence[e]++ >= args.capacity) {
        slot = 0;
        row = -1;
        continue;
      }
      const int32_t of_expert = slots_begin[e + 1] - slots_begin[e];
      const int32_t n = kept[e]++;
      slot = args.slots.as<int32_t>()[slots_begin[e] + (args.turn + n) % of_expert];
      row = n / of_expert;
      ++counts[slot];
    }
  }
}

void HostKernels::PlaceRows(const PlaceRowsArgs& args) {
  CheckPlaceRows(args);
  const int64_t tokens = args.slot.dim(0), k = args.slot.dim(1), slots = args.ends.dim(1);
  const auto* const slot = args.slot.as<int32_t>();
  const auto* const row = args.row.as<int32_t>();
  const auto* const ends = args.ends.as<int32_t>();
  const auto* const shifts = args.shifts.as<int32_t>();
  auto* const place = args.place.as<int32_t>();
  // By slot: the chunk of its next row; rows of a slot come in order, so its chunks do.
  static thread_local std::vector<int64_t> chunk_of;
  chunk_of.assign(static_cast<size_t>(slots), 0);
  for (int64_t i = 0; i < tokens * k; ++i) {
    if (row[i] < 0) {
      place[i] = -1;
      continue;
    }
    int64_t& chunk = chunk_of[static_cast<size_t>(slot[i])];
    while (ends[chunk * slots + slot[i]] <= row[i]) ++chunk;
    place[i] = row[i] + shifts[chunk * slots + slot[i]];
    const int64_t choice = args.first_token * k + i;
    args.token.as<int32_t>()[place[i]] = static_cast<int32_t>(choice / k);
    args.choice.as<int32_t>()[place[i]] = static_cast<int32_t>(choice);
  }
}

}  // namespace weft
