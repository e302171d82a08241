#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "launch/config/values.h"
#include "runtime/options.h"

// The one table of everything a configuration can say. Each key is declared once, in schema.cc: its
// place in JobOptions (which is also its name), its meaning and what it allows. Parsing, messages,
// printing and configs/reference.yaml are all read off this table.

namespace weft {

// Allowed numbers: of an integer, of a real number, of every element of a list.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is not allowed
  bool below_max = false;  // nor is max
};

enum class TextRule {
  kAny,
  kNotEmpty,
  kFileName,  // 1 to 64 letters, digits, '.', '_', '-', not starting with '.' or '-'
};

template <typename T>
using FieldOf = T* (*)(JobOptions&);

// Where a field lives; the alternative is its type.
using Slot = std::variant<FieldOf<bool>, FieldOf<int32_t>, FieldOf<uint64_t>, FieldOf<double>,
                          FieldOf<std::string>, FieldOf<std::vector<std::string>>,
                          FieldOf<std::vector<int32_t>>, FieldOf<Backbone>, FieldOf<CapacityMode>,
                          FieldOf<Routing>, FieldOf<Workload>, FieldOf<Precision>>;

struct Field {
  std::string_view key;  // "model.moe.top_k"
  Slot slot;
  std::string_view meaning;  // one sentence or two, for reference.yaml
  Range range = {};
  Unit unit = Unit::kNone;
  TextRule text = TextRule::kAny;
  std::vector<std::string_view> choices =
      {};  // allowed texts; of an enum, in the order of its values
};

// A key that holds keys. Its fields stand behind it in the table, without a gap.
struct Section {
  std::string_view key;  // "model.moe"
  std::string_view meaning;
};

// In the order of configs/reference.yaml; so are the sections.
const std::vector<Field>& Schema();
const std::vector<Section>& Sections();

// Null when there is no such key.
const Field* FindField(std::string_view key);
const Section* FindSection(std::string_view key);

// "model.moe.top_k" -> "model.moe" and "top_k"; "run" -> "" and "run".
std::string_view ParentOf(std::string_view key);
std::string_view NameOf(std::string_view key);

// The names of the keys directly inside `section` ("" is the top level).
std::vector<std::string_view> NamesIn(std::string_view section);

// "at least 1", "greater than 0, at most 1", "gpt2 or mixtral", "true or false", ...
std::string AllowedValues(const Field& field);
// The same for one element of a list; AllowedValues where the field is no list.
std::string AllowedElements(const Field& field);

// The value of `field` in `options` as YAML. `options` is only read.
std::string FormatField(const Field& field, JobOptions& options);

}  // namespace weft
