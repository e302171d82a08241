#pragma once

#include <string>
#include <string_view>

#include "launch/config/config.h"
#include "launch/config/errors.h"
#include "launch/config/yaml_tree.h"

namespace weft {

// Writes the values of a tree or of an override into a LoadedConfig by the table in schema.h, with
// their origins. A value that is not allowed is a mistake and leaves its field alone.
class Binder {
 public:
  // All three must outlive the Binder.
  Binder(const Environment& environment, LoadedConfig& config, ErrorList& errors)
      : environment_(environment), config_(config), errors_(errors) {}

  // Every key of `map` (kMap, or kNull for nothing), which stands inside `section` ("": the top
  // level).
  void BindSection(std::string_view section, const YamlNode& map);

  // "model.moe.top_k=2". The value is taken as it is, or read as YAML when it starts with [ { " or
  // '.
  void BindOverride(const std::string& text);

 private:
  void BindKey(std::string_view key, const YamlNode& value);
  void ReportUnknownKey(const Origin& where, std::string_view section, std::string_view name);

  const Environment& environment_;
  LoadedConfig& config_;
  ErrorList& errors_;
};

}  // namespace weft
