#include "bench/settings.h"

#include <cstdio>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace weft {
namespace {

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

}  // namespace

int RunBenchmark(int argc, char** argv, Settings settings, Measurement measure) {
  if (const absl::Status status = ParseSettings(argc, argv, settings); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 2;
  }
  const absl::StatusOr<nlohmann::ordered_json> result = measure(settings);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    return 1;
  }
  std::printf("%s\n", result->dump().c_str());
  return 0;
}

}  // namespace weft
