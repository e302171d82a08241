#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/options.h"

// What a person wrote, as typed options. The life of a configuration:
//   text -> YamlTree (yaml_tree.h: strict YAML with marks, duplicates and aliases refused, size
//   limits)
//        -> ${env:VAR} replaced (substitute.h) -> bound key by key to JobOptions by the table in
//        schema.h (bind.h)
//        -> `a.b=c` overrides of the command line, by the same table
//        -> fields checked against each other (validate.cc) -> LoadedConfig.
// Every mistake found on the way is reported at once, each in one line with file, line and column.
// Nothing in here throws, logs or touches anything but the file it is told to read.

namespace weft {

// Where a value came from. Lines and columns count from 1; 0: the source has none.
struct Origin {
  std::string source;  // a file's path, or "command line"
  int line = 0;
  int column = 0;

  std::string ToString() const;  // "exp.yaml:14:5", "command line"
};

struct LoadedConfig {
  JobOptions options;
  std::map<std::string, Origin>
      origins;  // by key ("model.moe.top_k"); a key not in here has its default
};

// The value of an environment variable, or nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

// Reads the file at `path`, then applies the overrides ("training.optimizer.learning_rate=3e-4",
// "tuning.degrees=[1,2]") in order; the last one of a key wins. kInvalidArgument with up to 20
// lines, one a mistake, when anything is wrong. What needs the number of ranks is left to
// ValidateConfig. Blocks on the file only.
absl::StatusOr<LoadedConfig> LoadConfig(const std::string& path,
                                        const std::vector<std::string>& overrides);

// The same for text in memory; `name` stands for the file in messages.
absl::StatusOr<LoadedConfig> LoadConfigText(std::string_view text, const std::string& name,
                                            const std::vector<std::string>& overrides,
                                            const Environment& environment);

// Whether the fields fit each other. `world_size` 0: the number of ranks is not known and there may
// be no data yet; what a job needs to start is then left out. Every conflict is one line that names
// key, value and allowed values. The layout of the ranks (EP, ESP) is ValidateLayout's
// (graph/topology.h).
absl::Status ValidateOptions(const JobOptions& options, int32_t world_size);
// The same, and every line starts with where the value was written.
absl::Status ValidateConfig(const LoadedConfig& config, int32_t world_size);

// All keys as YAML with the origin of each value as a comment; for people (`--print-config`).
std::string PrintConfig(const LoadedConfig& config);
// All keys as YAML and nothing else. LoadConfigText reads it back to the same options, and equal
// options give equal bytes: checkpoints store it and its fingerprint.
std::string ResolvedConfig(const JobOptions& options);
// configs/reference.yaml: every key with its meaning, allowed values and default.
std::string ReferenceConfig();

}  // namespace weft
