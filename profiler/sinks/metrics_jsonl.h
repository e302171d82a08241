#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

// metrics.jsonl: one JSON object a line, appended as the run goes, so that `tail -f`, jq and
// uploaders can follow it. A line reaches the file in one write before Append returns; a resumed
// run goes on in the same file.

namespace weft {

using MetricValue = std::variant<bool, int64_t, double, std::string>;
// Fields in the order in which they are printed. Names are unique.
using MetricsRecord = std::vector<std::pair<std::string, MetricValue>>;

// {"step":7,"loss":2.5}, without a line end. A number that is not finite is null: JSON has no NaN.
std::string MetricsToJson(const MetricsRecord& record);

class MetricsJsonl {
 public:
  // Opens for appending, creating the file. A last line without an end (a run that was killed) is
  // ended, so that it spoils no other. Errors name the file.
  static absl::StatusOr<std::unique_ptr<MetricsJsonl>> Open(const std::string& path);
  ~MetricsJsonl();
  MetricsJsonl(const MetricsJsonl&) = delete;
  MetricsJsonl& operator=(const MetricsJsonl&) = delete;

  absl::Status Append(const MetricsRecord& record);

 private:
  MetricsJsonl(const std::string& path, int fd);

  const std::string what_;  // "append to <path>", for errors
  const int fd_;
};

}  // namespace weft
