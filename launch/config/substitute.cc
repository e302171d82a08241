#include "launch/config/substitute.h"

#include <cctype>
#include <cstdlib>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/config/errors.h"

namespace weft {
namespace {

bool IsVariableName(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

// `body` is what stands between "${" and "}".
absl::StatusOr<std::string> Resolve(std::string_view body, const Environment& environment) {
  constexpr std::string_view kPrefix = "env:";
  constexpr std::string_view kDefault = ":-";
  std::string_view name =
      body.substr(0, kPrefix.size()) == kPrefix ? body.substr(kPrefix.size()) : "";
  std::optional<std::string> fallback;
  if (const size_t at = name.find(kDefault); at != std::string_view::npos) {
    fallback = std::string(name.substr(at + kDefault.size()));
    name = name.substr(0, at);
  }
  if (!IsVariableName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot replace ", Quoted(absl::StrCat("${", std::string(body), "}")),
        "; the forms are ${env:NAME} and ${env:NAME:-value}, and $${ for a literal ${"));
  }
  const std::optional<std::string> value = environment(std::string(name));
  if (value.has_value() && !(value->empty() && fallback.has_value())) return *value;
  if (fallback.has_value()) return *fallback;
  return absl::InvalidArgumentError(absl::StrCat("environment variable ", Quoted(name),
                                                 " is not set; write ${env:", std::string(name),
                                                 ":-value} to give a default"));
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

absl::StatusOr<std::string> Substitute(std::string_view text, const Environment& environment) {
  std::string result;
  while (!text.empty()) {
    const size_t at = text.find("${");
    if (at == std::string_view::npos) break;
    if (at > 0 && text[at - 1] == '$') {
      result.append(text.substr(0, at - 1)).append("${");
      text.remove_prefix(at + 2);
      continue;
    }
    const size_t end = text.find('}', at);
    if (end == std::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("no '}' ends ", Quoted(text.substr(at))));
    }
    WEFT_ASSIGN_OR_RETURN(const std::string value,
                          Resolve(text.substr(at + 2, end - at - 2), environment));
    result.append(text.substr(0, at)).append(value);
    text.remove_prefix(end + 1);
  }
  return result.append(text);
}

std::string EscapeSubstitutions(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "${") result.push_back('$');
    result.push_back(text[i]);
  }
  return result;
}

}  // namespace weft
