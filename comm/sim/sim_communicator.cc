#include "comm/sim/sim_communicator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "comm/rows.h"

namespace weft {

int64_t EmulatedLinkModel::Nanos(const Traffic& traffic) const {
  const double seconds = static_cast<double>(traffic.steps) * latency_seconds +
                         static_cast<double>(traffic.bytes) / bytes_per_second +
                         static_cast<double>(traffic.messages) * message_seconds;
  return std::llround(seconds * 1e9);
}

SimCommunicator::SimCommunicator(std::unique_ptr<Communicator> inner,
                                 const EmulatedLinkModel& model, std::shared_ptr<LinkClock> link,
                                 std::shared_ptr<Alarm> alarm)
    : inner_(std::move(inner)),
      model_(model),
      link_(std::move(link)),
      alarm_(std::move(alarm)),
      stamps_(2 * static_cast<size_t>(inner_->size())) {
  WEFT_CHECK(model.bytes_per_second > 0 && model.latency_seconds >= 0 && model.message_seconds >= 0,
             "a link that moves bytes");
}

absl::StatusOr<int64_t> SimCommunicator::AgreeOnEnd(const Traffic& traffic) {
  const int64_t my_nanos = model_.Nanos(traffic);
  const int64_t my_start = link_->Reserve(MonotonicClock().NowNanos(), my_nanos);
  const std::array<int64_t, 2> mine = {my_start, my_nanos};
  WEFT_RETURN_IF_ERROR(
      inner_->AllGather(View(mine.data(), {2}), View(stamps_.data(), {size(), 2})));
  int64_t last_start = 0;
  int64_t longest = 0;
  for (size_t member = 0; member < stamps_.size(); member += 2) {
    last_start = std::max(last_start, stamps_[member]);
    longest = std::max(longest, stamps_[member + 1]);
  }
  const int64_t end = last_start + longest;
  link_->HoldUntil(end);
  return end;
}

template <typename Inner>
absl::Status SimCommunicator::Emulate(std::string_view operation, const Traffic& traffic,
                                      const Inner& inner) {
  if (size() == 1) return inner();
  const absl::StatusOr<int64_t> end = AgreeOnEnd(traffic);
  if (!end.ok()) {
    return WithContext(end.status(), absl::StrCat(std::string(operation), " over emulated link"));
  }
  WEFT_RETURN_IF_ERROR(inner());
  if (!alarm_->WaitUntil(*end)) return inner_->Health();
  return absl::OkStatus();
}

absl::Status SimCommunicator::AllReduce(TensorView data, ReduceOp op) {
  return Emulate("AllReduce", AllReduceTraffic(data.elements(), SizeOf(data.dtype), size()),
                 [&] { return inner_->AllReduce(data, op); });
}

absl::Status SimCommunicator::AllGather(ConstTensorView send, TensorView recv) {
  return Emulate("AllGather", AllGatherTraffic(send.bytes(), size()),
                 [&] { return inner_->AllGather(send, recv); });
}

absl::Status SimCommunicator::AllGatherV(const AllGatherVArgs& args) {
  return Emulate("AllGatherV", AllGatherVTraffic(args.rows, RowBytes(args.send), rank()),
                 [&] { return inner_->AllGatherV(args); });
}

absl::Status SimCommunicator::ReduceScatterV(const ReduceScatterVArgs& args) {
  return Emulate("ReduceScatterV", ReduceScatterVTraffic(args.rows, RowBytes(args.send), rank()),
                 [&] { return inner_->ReduceScatterV(args); });
}

absl::Status SimCommunicator::AllToAllV(const AllToAllVArgs& args) {
  return Emulate("AllToAllV",
                 AllToAllVTraffic(args.send_rows, args.recv_rows, RowBytes(args.send), rank()),
                 [&] { return inner_->AllToAllV(args); });
}

absl::Status SimCommunicator::Broadcast(TensorView data, int root) {
  return Emulate("Broadcast", BroadcastTraffic(data.bytes(), size(), rank() == root),
                 [&] { return inner_->Broadcast(data, root); });
}

absl::Status SimCommunicator::Barrier() {
  return Emulate("Barrier", BarrierTraffic(), [&] { return inner_->Barrier(); });
}

void SimCommunicator::Abort(const absl::Status& cause) {
  inner_->Abort(cause);  // first: whoever the alarm wakes asks for its health
  alarm_->Ring();
}

}  // namespace weft
