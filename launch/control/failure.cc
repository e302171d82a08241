#include "launch/control/failure.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "weft/v1/job.pb.h"

namespace weft {
namespace {

constexpr size_t kMaxMessageBytes = 4096;

std::string ValidUtf8(const absl::string_view text) {
  using nlohmann::json;
  const std::string cut(text.substr(0, std::min(text.size(), kMaxMessageBytes)));
  return json::parse(json(cut).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

}  // namespace

std::string DescribeMember(const v1::Member& member) {
  std::string text = absl::StrCat("rank ", member.rank(), " (node ", member.node());
  if (!member.host().empty()) {
    absl::StrAppend(&text, ", host ", member.host(), ", pid ", member.pid());
  }
  return text + ")";
}

v1::Failure MakeFailure(const v1::Member& origin, const absl::Status& cause) {
  WEFT_CHECK(!cause.ok(), "a failure has a cause");
  v1::Failure failure;
  *failure.mutable_origin() = origin;
  failure.set_code(static_cast<int32_t>(cause.code()));
  failure.set_message(ValidUtf8(cause.message()));
  return failure;
}

Failure FromMessage(const v1::Failure& message) {
  const v1::Member& origin = message.origin();
  // A peer that sends code 0 still failed.
  const auto code = message.code() == 0 ? absl::StatusCode::kUnknown
                                        : static_cast<absl::StatusCode>(message.code());
  return Failure{origin.rank(), origin.node(), origin.host(), origin.pid(),
                 absl::Status(code, message.message())};
}

}  // namespace weft
