#include "profiler/sinks/metrics_jsonl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "profiler/sinks/write_fully.h"

namespace weft {

std::string MetricsToJson(const MetricsRecord& record) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& field : record) {
    std::visit([&](const auto& value) { object[field.first] = value; }, field.second);
  }
  // The library prints what is not finite as null.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

MetricsJsonl::MetricsJsonl(const std::string& path, int fd)
    : what_(absl::StrCat("append to ", path)), fd_(fd) {}

MetricsJsonl::~MetricsJsonl() { ::close(fd_); }

absl::StatusOr<std::unique_ptr<MetricsJsonl>> MetricsJsonl::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return absl::NotFoundError(absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
  }
  std::unique_ptr<MetricsJsonl> metrics(new MetricsJsonl(path, fd));
  const off_t end = ::lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (end > 0 && ::pread(fd, &last, 1, end - 1) == 1 && last != '\n') {
    WEFT_RETURN_IF_ERROR(WriteFully(fd, "\n", metrics->what_));
  }
  return metrics;
}

absl::Status MetricsJsonl::Append(const MetricsRecord& record) {
  return WriteFully(fd_, absl::StrCat(MetricsToJson(record), "\n"), what_);
}

}  // namespace weft
