#include "comm/hierarchy/exchange_step.h"

#include <span>

#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

TensorView Written(const ExchangeViews& buffers, ExchangeBuffer buffer) {
  WEFT_CHECK(buffer != ExchangeBuffer::kInput, "the input is not written");
  switch (buffer) {
    case ExchangeBuffer::kStaging0:
      return buffers.staging[0];
    case ExchangeBuffer::kStaging1:
      return buffers.staging[1];
    default:
      return buffers.output;
  }
}

ConstTensorView Read(const ExchangeViews& buffers, ExchangeBuffer buffer) {
  return buffer == ExchangeBuffer::kInput ? buffers.input : Written(buffers, buffer);
}

void RunCopies(std::span<const RowCopy> copies, const ExchangeViews& buffers) {
  for (const RowCopy& copy : copies) {
    const ConstTensorView from = Rows(Read(buffers, copy.from), copy.from_row, copy.rows);
    const TensorView to = Rows(Written(buffers, copy.to), copy.to_row, copy.rows);
    WEFT_CHECK(from.dtype == to.dtype && from.dim(1) == to.dim(1), "buffers hold the same rows");
    buffers.memory.Copy(from, to);
  }
}

}  // namespace

absl::Status RunStep(const ExchangeStep& step, const ExchangeViews& buffers, Communicator& tier) {
  RunCopies(step.before, buffers);
  if (step.joins) {
    WEFT_RETURN_IF_ERROR(tier.AllToAllV({.send = Read(buffers, step.send),
                                         .send_rows = step.send_rows,
                                         .recv = Written(buffers, step.recv),
                                         .recv_rows = step.recv_rows,
                                         .send_begin = step.send_begin,
                                         .recv_begin = step.recv_begin}));
  }
  RunCopies(step.after, buffers);
  return absl::OkStatus();
}

}  // namespace weft
