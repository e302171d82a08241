#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"
#include "comm/hierarchy/group_shape.h"
#include "tensor/device/memory.h"
#include "tensor/view.h"

namespace weft {

enum class ExchangeBuffer : uint8_t { kInput, kOutput, kStaging0, kStaging1 };

// Rows [from_row, from_row + rows) of one buffer to where `to_row` begins in another.
struct RowCopy {
  ExchangeBuffer from;
  int64_t from_row;
  ExchangeBuffer to;
  int64_t to_row;
  int64_t rows;

  friend bool operator==(const RowCopy&, const RowCopy&) = default;
};

// One step of an exchange on one member: copies, an all-to-all of one tier, copies. Made by
// ExchangePlan, run by RunStep. Rows for peer p of the tier are [send_begin[p], + send_rows[p]) of
// `send`; rows from it land at recv_begin[p] of `recv`.
struct ExchangeStep {
  ExchangeTier tier = ExchangeTier::kGroup;
  bool independent = false;  // of the step before it: both may run at once
  bool joins = true;         // false: this member has nothing to do, the communicator is not called
  ExchangeBuffer send = ExchangeBuffer::kInput;
  ExchangeBuffer recv = ExchangeBuffer::kOutput;
  std::vector<int64_t> send_rows, send_begin, recv_rows, recv_begin;  // [tier size]
  std::vector<RowCopy> before, after;
};

// All [rows, width] of one element type, in one memory, none overlapping another. Input and output
// hold at least the plan's rows, the staging buffers what the plan states for each.
struct ExchangeViews {
  ConstTensorView input;
  TensorView output;
  std::array<TensorView, 2> staging;
  Memory& memory = HostMemory();
};

// Runs `step`. `tier` is the communicator of step.tier, its members in the group's order.
// COLLECTIVE: over the members of the tier that join. Blocks until the rows that this step brings
// have landed, or, where traits().completion is kStreamOrdered, only enqueues. Errors are the
// communicator's. REQUIRES: every step before it has ended, where the step is not independent.
absl::Status RunStep(const ExchangeStep& step, const ExchangeViews& buffers, Communicator& tier);

}  // namespace weft
