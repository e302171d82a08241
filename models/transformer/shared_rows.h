#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "models/model_context.h"
#include "tensor/device/buffer.h"
#include "tensor/row_range.h"
#include "tensor/view.h"

namespace weft {

// The rows that an MP group computes attention for: every member has sequences of its own and all
// of them have the same number of tokens. All rows together are [members * tokens, hidden], member
// by member, so that they are a larger batch of whole sequences. Around attention a piece, which is
// the same range of tokens of every member, is gathered; what the members' heads make of it are
// partial sums, which are added up and scattered to where each row is at home. One set of partial
// sums serves all layers: a layer's piece has been scattered before the next layer's is computed.
class SharedRows {
 public:
  explicit SharedRows(const ModelContext& context);

  int32_t members() const { return members_; }
  int32_t own() const { return own_; }  // place in the group
  int64_t rows() const { return members_ * tokens_; }
  // Where rows `tokens` of a member stand among all.
  RowRange of(int32_t member, RowRange tokens) const {
    return {member * tokens_ + tokens.begin, member * tokens_ + tokens.end};
  }

  // Rows `tokens` of every member's `own` [tokens, hidden], to their places in `all`. *size: bytes
  // sent (models/op_sizes.h). REQUIRES: several members. COLLECTIVE over them.
  absl::Status Gather(RowRange tokens, ConstTensorView own, TensorView all, double* size);

  // This rank's share of the sums for rows `tokens` of a member; to be written before Scatter.
  TensorView Partial(int32_t member, RowRange tokens) const;
  // Rows `tokens` of `own` [tokens, hidden]: the sum of all members' shares, in rank order.
  absl::Status Scatter(RowRange tokens, TensorView own, double* size);

 private:
  const ModelContext& context_;
  int32_t members_ = 1;
  int32_t own_ = 0;
  int64_t tokens_ = 0;
  Buffer storage_;
  TensorView partial_;  // [rows(), hidden]: piece by piece, in it member by member
  // Arguments of the collectives; used by the stream that they run on.
  std::vector<int64_t> counts_, send_begin_, receive_begin_;
};

}  // namespace weft
