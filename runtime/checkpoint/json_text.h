#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace weft {

// The document as text, keys in the order of insertion; indent < 0: on one line. kInvalidArgument:
// a string that is not UTF-8.
absl::StatusOr<std::string> JsonText(const nlohmann::ordered_json& document, int indent);

}  // namespace weft
