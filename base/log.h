#pragma once

#include <string_view>

// One line a call on stderr: "14:03:27.512 I rank 2: message", or one JSON object a line. stdout is
// for data. Never called on the hot path. Thread-safe; a line is written by one write().

namespace weft {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  int rank = -1;  // -1: not a rank (a command-line tool)
};

void InitLog(const LogOptions& options);
void Log(LogLevel level, std::string_view message);

inline void LogDebug(std::string_view message) { Log(LogLevel::kDebug, message); }
inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { Log(LogLevel::kWarning, message); }
inline void LogError(std::string_view message) { Log(LogLevel::kError, message); }

}  // namespace weft
