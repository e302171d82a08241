#include "runtime/checkpoint/rank_report.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

struct PackedText {
  static constexpr size_t kMaxBytes = 400;
  int32_t size;
  char bytes[kMaxBytes];

  void Set(std::string_view text) {
    size = static_cast<int32_t>(std::min(text.size(), kMaxBytes));
    std::copy_n(text.data(), size, bytes);
  }
  std::string Get() const { return {bytes, static_cast<size_t>(size)}; }
};

struct PackedReport {
  int32_t code;
  int64_t number;
  char token[32];  // filled with zeros
  PackedText message;
};

}  // namespace

absl::StatusOr<std::vector<RankReport>> GatherReports(Communicator& world, const RankReport& mine) {
  WEFT_CHECK(mine.token.size() <= sizeof PackedReport::token, "a token is at most 32 bytes");
  PackedReport packed{};
  packed.code = static_cast<int32_t>(mine.status.code());
  packed.number = mine.number;
  std::memcpy(packed.token, mine.token.data(), mine.token.size());
  packed.message.Set({mine.status.message().data(), mine.status.message().size()});

  constexpr int64_t kBytes = sizeof(PackedReport);
  std::vector<PackedReport> all(static_cast<size_t>(world.size()));
  WEFT_RETURN_IF_ERROR(
      world.AllGather(View(reinterpret_cast<const uint8_t*>(&packed), {kBytes}),
                      View(reinterpret_cast<uint8_t*>(all.data()), {world.size() * kBytes})));

  std::vector<RankReport> reports;
  reports.reserve(all.size());
  for (const PackedReport& report : all) {
    reports.push_back(
        {absl::Status(static_cast<absl::StatusCode>(report.code), report.message.Get()),
         report.number,
         {report.token, strnlen(report.token, sizeof report.token)}});
  }
  return reports;
}

absl::Status FirstFailure(const std::vector<RankReport>& reports) {
  const auto failed = [](const RankReport& report) { return !report.status.ok(); };
  const auto first = std::find_if(reports.begin(), reports.end(), failed);
  if (first == reports.end()) return absl::OkStatus();
  const auto others = std::count_if(reports.begin(), reports.end(), failed) - 1;
  const absl::Status status =
      WithContext(first->status, absl::StrCat("rank ", first - reports.begin()));
  if (others == 0) return status;
  return {status.code(),
          absl::StrCat(status.message(), " (and ", others, " more of ", reports.size(), " ranks)")};
}

}  // namespace weft
