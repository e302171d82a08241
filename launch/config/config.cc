#include "launch/config/config.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/config/bind.h"
#include "launch/config/errors.h"
#include "launch/config/yaml_tree.h"

namespace weft {
namespace {

// At most one byte more than a configuration may have, which is enough to refuse it.
absl::StatusOr<std::string> ReadText(const std::string& path) {
  const auto failure = [&path](const char* what) {
    const int error = errno;
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", what, error != 0 ? absl::StrCat(" (", std::strerror(error), ")") : ""));
  };
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return failure("cannot open the configuration");
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) return failure("cannot read the configuration");
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace

std::string Origin::ToString() const {
  return line > 0 ? absl::StrCat(source, ":", line, ":", column) : source;
}

absl::StatusOr<LoadedConfig> LoadConfigText(std::string_view text, const std::string& name,
                                            const std::vector<std::string>& overrides,
                                            const Environment& environment) {
  ErrorList errors;
  LoadedConfig config;
  const YamlNode root = ParseYaml(text, name, /*with_marks=*/true, errors);
  Binder binder(environment, config, errors);
  binder.BindSection("", root);
  for (const std::string& override_text : overrides) binder.BindOverride(override_text);
  WEFT_RETURN_IF_ERROR(errors.ToStatus());
  // Only fields that are right one by one are worth comparing.
  WEFT_RETURN_IF_ERROR(ValidateConfig(config, /*world_size=*/0));
  return config;
}

absl::StatusOr<LoadedConfig> LoadConfig(const std::string& path,
                                        const std::vector<std::string>& overrides) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  return LoadConfigText(text, path, overrides, ProcessEnvironment());
}

}  // namespace weft
