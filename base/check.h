#pragma once

#include <string_view>

// WEFT_CHECK(condition, "what must hold"): programmer errors only. Bad input is an absl::Status.

namespace weft {

// Prints file:line, the condition and the message to stderr, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view message);

}  // namespace weft

#define WEFT_CHECK(condition, message)                              \
  do {                                                              \
    if (!(condition)) [[unlikely]]                                  \
      ::weft::CheckFailed(__FILE__, __LINE__, #condition, message); \
  } while (false)
