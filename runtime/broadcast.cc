#include "runtime/broadcast.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace weft {
namespace {

absl::StatusOr<std::string> BroadcastFrom(Communicator& control, int root,
                                          const std::string& text) {
  int64_t length = static_cast<int64_t>(text.size());
  WEFT_RETURN_IF_ERROR(control.Broadcast(View(&length, {1}), root));
  std::string received =
      control.rank() == root ? text : std::string(static_cast<size_t>(length), '\0');
  WEFT_RETURN_IF_ERROR(control.Broadcast({received.data(), DType::kU8, {length}}, root));
  return received;
}

}  // namespace

absl::StatusOr<std::string> BroadcastText(Communicator& control, const std::string& text) {
  return BroadcastFrom(control, 0, text);
}

absl::StatusOr<std::vector<std::string>> GatherTextOfAll(Communicator& control,
                                                         const std::string& mine) {
  const auto own = static_cast<int64_t>(mine.size());
  std::vector<int64_t> lengths(static_cast<size_t>(control.size()));
  WEFT_RETURN_IF_ERROR(control.AllGather(View(&own, {1}), View(lengths.data(), {control.size()})));
  int64_t total = 0;
  for (const int64_t length : lengths) total += length;
  std::string joined(static_cast<size_t>(total), '\0');
  WEFT_RETURN_IF_ERROR(control.AllGatherV({.send = {mine.data(), DType::kU8, {own, 1}},
                                           .recv = {joined.data(), DType::kU8, {total, 1}},
                                           .rows = lengths}));
  std::vector<std::string> texts;
  size_t begin = 0;
  for (const int64_t length : lengths) {
    texts.push_back(joined.substr(begin, static_cast<size_t>(length)));
    begin += static_cast<size_t>(length);
  }
  return texts;
}

absl::Status AgreeOnStatus(Communicator& control, const absl::Status& mine) {
  const auto code = static_cast<int64_t>(mine.code());
  std::vector<int64_t> codes(static_cast<size_t>(control.size()));
  WEFT_RETURN_IF_ERROR(control.AllGather(View(&code, {1}), View(codes.data(), {control.size()})));
  for (int rank = 0; rank < control.size(); ++rank) {
    const auto failed = static_cast<absl::StatusCode>(codes[static_cast<size_t>(rank)]);
    if (failed == absl::StatusCode::kOk) continue;
    WEFT_ASSIGN_OR_RETURN(const std::string message,
                          BroadcastFrom(control, rank, std::string(mine.message())));
    return absl::Status(failed,
                        control.size() > 1 ? absl::StrCat("rank ", rank, ": ", message) : message);
  }
  return absl::OkStatus();
}

absl::StatusOr<double> AgreeOnMax(Communicator& control, double mine) {
  WEFT_RETURN_IF_ERROR(control.AllReduce(View(&mine, {1}), ReduceOp::kMax));
  return mine;
}

}  // namespace weft
