#include "models/transformer/shared_rows.h"

#include <algorithm>

#include "models/op_sizes.h"

namespace weft {

SharedRows::SharedRows(const ModelContext& context)
    : context_(context),
      members_(context.layout.mp),
      own_(context.layout.mp_index(context.rank)),
      tokens_(context.batch.tokens()),
      storage_(context.kernels->memory()),
      counts_(static_cast<size_t>(members_)),
      send_begin_(static_cast<size_t>(members_)),
      receive_begin_(static_cast<size_t>(members_)) {
  if (members_ > 1)
    partial_ = storage_.Ensure(context.spec.dtype(), {rows(), context.spec.hidden_size});
}

absl::Status SharedRows::Gather(RowRange tokens, ConstTensorView own, TensorView all,
                                double* size) {
  std::fill(counts_.begin(), counts_.end(), tokens.count());
  std::fill(send_begin_.begin(), send_begin_.end(), tokens.begin);
  for (int32_t member = 0; member < members_; ++member)
    receive_begin_[static_cast<size_t>(member)] = of(member, tokens).begin;
  *size = AllGatherBytes(tokens.count() * own.dim(1), members_, own.dtype);
  // An all-gather whose blocks land apart: everyone sends the same rows to everyone.
  return context_.mp->AllToAllV({.send = own,
                                 .send_rows = counts_,
                                 .recv = all,
                                 .recv_rows = counts_,
                                 .send_begin = send_begin_,
                                 .recv_begin = receive_begin_});
}

TensorView SharedRows::Partial(int32_t member, RowRange tokens) const {
  const int64_t begin = members_ * tokens.begin + member * tokens.count();
  return Rows(partial_, begin, tokens.count());
}

absl::Status SharedRows::Scatter(RowRange tokens, TensorView own, double* size) {
  std::fill(counts_.begin(), counts_.end(), tokens.count());
  const int64_t width = own.dim(1);
  *size = ReduceScatterBytes(members_ * tokens.count() * width, tokens.count() * width, own.dtype);
  return context_.mp->ReduceScatterV(
      {.send = Rows(partial_, members_ * tokens.begin, members_ * tokens.count()),
       .recv = Rows(own, tokens),
       .rows = counts_});
}

}  // namespace weft
