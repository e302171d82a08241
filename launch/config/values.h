#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/numeric/int128.h"

// Numbers as text, both ways. Parsing is strict: decimal digits, no leading zeros, no '+', no
// hexadecimal or octal, no infinities; the whole text must match. Formatting is exact: parsing the
// text gives the same bits.

namespace weft {

enum class Unit { kNone, kSeconds, kBytesPerSecond };

// A whole number. What has more than 30 digits saturates.
std::optional<absl::int128> ParseInteger(std::string_view text);

// "0.5", "-3", "1e-3". A magnitude that no double holds is infinite.
std::optional<double> ParseReal(std::string_view text);

// A real number with or without one of the unit's suffixes: "30s", "1.5 ms", "200MB/s", "1Gbit/s".
// Without one it is in seconds, or bytes per second.
std::optional<double> ParseQuantity(std::string_view text, Unit unit);

std::string FormatReal(double value);
// With the suffix that makes the text shortest, if possible without a decimal point.
std::string FormatQuantity(double value, Unit unit);

}  // namespace weft
