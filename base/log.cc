#include "base/log.h"

#include <unistd.h>

#include <ctime>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft {
namespace {

LogOptions& Options() {
  static LogOptions options;
  return options;
}

std::string JsonEscape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += absl::StrFormat("\\u%04x", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void InitLog(const LogOptions& options) { Options() = options; }

void Log(LogLevel level, std::string_view message) {
  const LogOptions& options = Options();
  if (level < options.level) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  const bool json = options.format == LogFormat::kJson;
  json ? gmtime_r(&now.tv_sec, &parts) : localtime_r(&now.tv_sec, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof(stamp), json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts);
  std::string line;
  if (json) {
    const char* const names[] = {"debug", "info", "warning", "error"};
    line = absl::StrFormat("{\"ts\":\"%s.%06dZ\",\"level\":\"%s\",", stamp, now.tv_nsec / 1000,
                           names[static_cast<int>(level)]);
    if (options.rank >= 0) absl::StrAppend(&line, "\"rank\":", options.rank, ",");
    absl::StrAppend(&line, "\"msg\":\"", JsonEscape(message), "\"}\n");
  } else {
    line = absl::StrFormat("%s.%03d %c ", stamp, now.tv_nsec / 1000000,
                           "DIWE"[static_cast<int>(level)]);
    if (options.rank >= 0) absl::StrAppend(&line, "rank ", options.rank, ": ");
    line.append(message.data(), message.size());
    line += '\n';
  }
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace weft
