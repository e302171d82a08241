#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Early return on a non-OK Status. Context is added once per layer with WithContext, not here.

#define WEFT_RETURN_IF_ERROR(expr)                                                   \
  do {                                                                               \
    if (absl::Status weft_status_ = (expr); !weft_status_.ok()) return weft_status_; \
  } while (false)

#define WEFT_STATUS_CONCAT_INNER_(a, b) a##b
#define WEFT_STATUS_CONCAT_(a, b) WEFT_STATUS_CONCAT_INNER_(a, b)

// WEFT_ASSIGN_OR_RETURN(auto x, MakeX()): declares or assigns x, or returns the error.
// NOLINTBEGIN(bugprone-macro-parentheses): what is declared cannot stand in parentheses
#define WEFT_ASSIGN_OR_RETURN(lhs, expr) \
  WEFT_ASSIGN_OR_RETURN_IMPL_(WEFT_STATUS_CONCAT_(weft_statusor_, __LINE__), lhs, expr)
#define WEFT_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return std::move(tmp).status();    \
  lhs = std::move(tmp).value()
// NOLINTEND(bugprone-macro-parentheses)

namespace weft {

// The same code with "<context>: " in front of the message; OK stays OK.
absl::Status WithContext(const absl::Status& status, const std::string& context);

}  // namespace weft
