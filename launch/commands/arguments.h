#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace weft {

struct ArgumentRules {
  std::set<std::string> valued;    // "--run": takes the next argument, or what follows '='
  std::set<std::string> switches;  // "--json"
  bool operands_follow = false;    // from the first argument without a dash on, all are operands
  bool operands_anywhere = false;  // arguments without a dash are operands, options may follow them
};

struct Arguments {
  std::map<std::string, std::string> values;
  std::set<std::string> switches;
  std::vector<std::string> operands;

  bool has(const std::string& name) const { return switches.contains(name); }
  std::string value_or(const std::string& name, const std::string& otherwise) const;
};

// kInvalidArgument, in one sentence with the options there are, for an unknown option, one given
// twice, a missing value, or an operand where none is taken.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& arguments,
                                         const ArgumentRules& rules);

}  // namespace weft
