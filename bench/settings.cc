#include "bench/settings.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace weft {

absl::Status ParseSettings(int argc, char** argv, Settings& settings) {
  std::string names;
  for (const auto& [name, preset] : settings) absl::StrAppend(&names, " ", name);
  const Settings defaults = settings;
  for (int i = 1; i < argc; ++i) {
    const std::vector<std::string> parts = absl::StrSplit(argv[i], '=');
    int32_t value = 0;
    if (parts.size() != 2 || !settings.contains(parts[0]) || !absl::SimpleAtoi(parts[1], &value) ||
        value < (defaults.at(parts[0]) == 0 ? 0 : 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", argv[i],
                       "' is not NAME=NUMBER with a number of at least 1 (0 where that is the "
                       "default) and a name of:",
                       names));
    }
    settings[parts[0]] = value;
  }
  return absl::OkStatus();
}

}  // namespace weft
