#include "launch/commands/arguments.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace weft {
namespace {

absl::Status Unknown(const std::string& name, const ArgumentRules& rules) {
  std::set<std::string> all = rules.valued;
  all.insert(rules.switches.begin(), rules.switches.end());
  return absl::InvalidArgumentError(
      absl::StrCat("unknown option '", name, "'; there are ", absl::StrJoin(all, ", ")));
}

}  // namespace

std::string Arguments::value_or(const std::string& name, const std::string& otherwise) const {
  const auto it = values.find(name);
  return it == values.end() ? otherwise : it->second;
}

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& arguments,
                                         const ArgumentRules& rules) {
  Arguments parsed;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!absl::StartsWith(argument, "-")) {
      if (rules.operands_anywhere) {
        parsed.operands.push_back(argument);
        continue;
      }
      if (!rules.operands_follow) {
        return absl::InvalidArgumentError(absl::StrCat("unexpected argument '", argument, "'"));
      }
      parsed.operands.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      break;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (rules.switches.contains(argument)) {
      parsed.switches.insert(argument);
      continue;
    }
    if (!rules.valued.contains(name)) return Unknown(name, rules);
    if (equals == std::string::npos && i + 1 == arguments.size()) {
      return absl::InvalidArgumentError(absl::StrCat("option ", name, " needs a value"));
    }
    const std::string value =
        equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
    if (!parsed.values.emplace(name, value).second) {
      return absl::InvalidArgumentError(absl::StrCat("option ", name, " is given twice"));
    }
  }
  return parsed;
}

}  // namespace weft
