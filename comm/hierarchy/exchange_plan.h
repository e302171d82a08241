#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "comm/hierarchy/exchange_outline.h"
#include "comm/hierarchy/exchange_step.h"
#include "comm/hierarchy/group_shape.h"

// An all-to-all of exact row counts as steps of one member. The caller builds it when the counts
// are known, makes room for staging_rows() and runs the steps in order with RunStep, each from
// whichever stream serves its tier.
//
//   input   rows for member 0, for member 1, ...     output   rows from member 0, from member 1,
//   ...
//
// Whatever the algorithm, the output is the same, bit by bit. Own rows are copied, never sent.
// Input, output and staging belong to the exchange from its first step's start to its last step's
// end.

namespace weft {

// How many rows `source` has for `destination` (members of the group). Asked only for pairs that
// NeedsRows names.
using RowCounts = absl::FunctionRef<int64_t(int source, int destination)>;

class ExchangePlan {
 public:
  // A pure function of its arguments. Takes memory only when it has not been built for as large a
  // group with this algorithm before. REQUIRES: a valid shape; members agree on counts >= 0.
  void Build(AllToAllAlgorithm algorithm, const GroupShape& shape, RowCounts rows);

  // As many on every member, of the tiers that OutlineOf says. Valid until the next Build.
  std::span<const ExchangeStep> steps() const { return {steps_.data(), num_steps_}; }
  int64_t input_rows() const { return input_begin_.empty() ? 0 : input_begin_.back(); }
  int64_t output_rows() const { return output_begin_.empty() ? 0 : output_begin_.back(); }
  int64_t staging_rows(size_t which) const { return staging_rows_[which]; }

  // What step `step` moves by this plan's counts.
  ExchangeTraffic Traffic(size_t step, int64_t row_bytes) const;

 private:
  void StartStep(const ExchangeStepOutline& outline, ExchangeStep& step);
  // Staging holds the blocks of every step that sends from it or receives into it.
  void MeasureStaging(const ExchangeStep& step);

  void BuildDirect();
  void BuildPipe();
  void Build2DH(RowCounts rows);
  void Build1DHLeader(RowCounts rows);
  void Build1DHFollower();

  // Rows between this member and `member`, as blocks of input and output.
  int64_t RowsTo(int member) const { return InputRows(member, member + 1); }
  int64_t RowsFrom(int member) const { return OutputRows(member, member + 1); }
  int64_t InputRows(int begin, int end) const { return InputAt(end) - InputAt(begin); }
  int64_t OutputRows(int begin, int end) const { return OutputAt(end) - OutputAt(begin); }
  int64_t InputAt(int member) const { return input_begin_[static_cast<size_t>(member)]; }
  int64_t OutputAt(int member) const { return output_begin_[static_cast<size_t>(member)]; }
  // The blocks of this member's node: [first_here, first_behind) of the group.
  int FirstHere() const { return shape_.member(shape_.node(), 0); }
  int FirstBehind() const { return shape_.member(shape_.node() + 1, 0); }
  void CopyOwnRows(std::vector<RowCopy>& copies) const;

  GroupShape shape_;
  std::array<ExchangeStep, kMaxExchangeSteps> steps_;
  size_t num_steps_ = 0;
  std::array<int64_t, 2> staging_rows_ = {0, 0};
  std::vector<int64_t> input_begin_, output_begin_;  // [P + 1]
  std::vector<int64_t> passing_;  // where rows that pass through this member stand in staging
};

}  // namespace weft
