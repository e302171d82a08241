#include "runtime/checkpoint/json_text.h"

#include "absl/strings/str_cat.h"

namespace weft {

absl::StatusOr<std::string> JsonText(const nlohmann::ordered_json& document, int indent) {
  try {
    return document.dump(indent);
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("cannot be written as JSON: ", error.what()));
  }
}

}  // namespace weft
