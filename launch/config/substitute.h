#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "launch/config/config.h"

namespace weft {

// `text` with every ${env:NAME} replaced by that environment variable and every ${env:NAME:-value}
// by the variable or, when it is unset or empty, by `value` (which cannot contain '}'). "$${"
// stands for a literal "${". kInvalidArgument for an unset variable without a value, and for any
// other ${...}.
absl::StatusOr<std::string> Substitute(std::string_view text, const Environment& environment);

// The inverse: a text that Substitute returns unchanged.
std::string EscapeSubstitutions(std::string_view text);

}  // namespace weft
