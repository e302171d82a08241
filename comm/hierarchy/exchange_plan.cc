#include "comm/hierarchy/exchange_plan.h"

#include <algorithm>

#include "base/check.h"
#include "comm/hierarchy/row_copies.h"

namespace weft {
namespace {

constexpr std::array kStaging = {ExchangeBuffer::kStaging0, ExchangeBuffer::kStaging1};

// How many rows of `buffer` the blocks of one side of a step reach into.
int64_t BlocksEnd(const std::vector<int64_t>& begin, const std::vector<int64_t>& rows) {
  int64_t end = 0;
  for (size_t peer = 0; peer < rows.size(); ++peer) {
    if (rows[peer] > 0) end = std::max(end, begin[peer] + rows[peer]);
  }
  return end;
}

}  // namespace

void ExchangePlan::Build(AllToAllAlgorithm algorithm, const GroupShape& shape, RowCounts rows) {
  WEFT_CHECK(Validate(shape).ok(), "a valid shape");
  shape_ = shape;
  const auto members = static_cast<size_t>(shape.size());
  input_begin_.assign(members + 1, 0);
  output_begin_.assign(members + 1, 0);
  for (int member = 0; member < shape.size(); ++member) {
    const auto m = static_cast<size_t>(member);
    input_begin_[m + 1] = input_begin_[m] + rows(shape.me, member);
    output_begin_[m + 1] = output_begin_[m] + rows(member, shape.me);
  }

  const std::span<const ExchangeStepOutline> outline = OutlineOf(algorithm, shape);
  num_steps_ = outline.size();
  for (size_t i = 0; i < num_steps_; ++i) StartStep(outline[i], steps_[i]);
  if (shape.flat()) {
    BuildDirect();
  } else {
    switch (algorithm) {
      case AllToAllAlgorithm::kDirect:
        BuildDirect();
        break;
      case AllToAllAlgorithm::kPipe:
        BuildPipe();
        break;
      case AllToAllAlgorithm::k2DH:
        Build2DH(rows);
        break;
      case AllToAllAlgorithm::k1DH:
        shape.local() == 0 ? Build1DHLeader(rows) : Build1DHFollower();
        break;
    }
  }
  staging_rows_ = {0, 0};
  for (const ExchangeStep& step : steps()) MeasureStaging(step);
}

void ExchangePlan::StartStep(const ExchangeStepOutline& outline, ExchangeStep& step) {
  const auto peers = static_cast<size_t>(TierSize(shape_, outline.tier));
  step.tier = outline.tier;
  step.independent = outline.independent;
  step.joins = !outline.leaders_only || shape_.local() == 0;
  step.send = ExchangeBuffer::kInput;
  step.recv = ExchangeBuffer::kOutput;
  for (std::vector<int64_t>* blocks :
       {&step.send_rows, &step.send_begin, &step.recv_rows, &step.recv_begin}) {
    blocks->assign(peers, 0);
  }
  // Which rows are none, and so which copies there are, changes with the counts: room for the most.
  const int most = shape_.size() * (outline.leaders_only ? shape_.members_per_node : 1);
  for (std::vector<RowCopy>* copies : {&step.before, &step.after}) {
    copies->clear();
    copies->reserve(static_cast<size_t>(most));
  }
}

void ExchangePlan::MeasureStaging(const ExchangeStep& step) {
  for (size_t i = 0; i < kStaging.size(); ++i) {
    int64_t& needed = staging_rows_[i];
    if (step.send == kStaging[i])
      needed = std::max(needed, BlocksEnd(step.send_begin, step.send_rows));
    if (step.recv == kStaging[i])
      needed = std::max(needed, BlocksEnd(step.recv_begin, step.recv_rows));
  }
}

void ExchangePlan::CopyOwnRows(std::vector<RowCopy>& copies) const {
  AddCopy({ExchangeBuffer::kInput, InputAt(shape_.me)},
          {ExchangeBuffer::kOutput, OutputAt(shape_.me)}, RowsTo(shape_.me), copies);
}

void ExchangePlan::BuildDirect() {
  ExchangeStep& step = steps_[0];
  for (int peer = 0; peer < shape_.size(); ++peer) {
    const auto p = static_cast<size_t>(peer);
    step.send_rows[p] = RowsTo(peer);
    step.send_begin[p] = InputAt(peer);
    step.recv_rows[p] = RowsFrom(peer);
    step.recv_begin[p] = OutputAt(peer);
  }
}

// Members of the own node in the first step, with it the own rows; all others in the second.
void ExchangePlan::BuildPipe() {
  for (int member = 0; member < shape_.size(); ++member) {
    const bool here = shape_.node_of(member) == shape_.node();
    ExchangeStep& step = steps_[here ? 0 : 1];
    const auto p = static_cast<size_t>(here ? member - FirstHere() : member);
    step.send_rows[p] = RowsTo(member);
    step.send_begin[p] = InputAt(member);
    step.recv_rows[p] = RowsFrom(member);
    step.recv_begin[p] = OutputAt(member);
  }
}

ExchangeTraffic ExchangePlan::Traffic(size_t step, int64_t row_bytes) const {
  WEFT_CHECK(step < num_steps_, "a step of the plan");
  const ExchangeStep& of = steps_[step];
  const int own = TierPlace(shape_, of.tier);
  ExchangeTraffic traffic;
  for (int peer = 0; peer < TierSize(shape_, of.tier); ++peer) {
    if (peer == own) continue;
    const auto p = static_cast<size_t>(peer);
    const bool here = shape_.node_of(TierMember(shape_, of.tier, peer)) == shape_.node();
    const auto sent = static_cast<double>(of.send_rows[p] * row_bytes);
    traffic.messages += of.send_rows[p] > 0 ? 1 : 0;
    (here ? traffic.intra_bytes : traffic.inter_bytes) += sent;
    traffic.received_bytes += static_cast<double>(of.recv_rows[p] * row_bytes);
  }
  return traffic;
}

}  // namespace weft
