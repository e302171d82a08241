#include "launch/config/values.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <vector>

namespace weft {
namespace {

// What one of a unit is: factor / divisor of the base unit. Dividing by a power of ten gives the
// double nearest to the decimal number that was written; multiplying by its inverse would not.
struct Suffix {
  std::string_view name;
  double factor;
  double divisor = 1;
};

const std::vector<Suffix>& SuffixesOf(Unit unit) {
  static const std::vector<Suffix> none;
  static const std::vector<Suffix> seconds = {{"h", 3600},    {"min", 60},    {"s", 1},
                                              {"ms", 1, 1e3}, {"us", 1, 1e6}, {"ns", 1, 1e9}};
  static const std::vector<Suffix> rates = {
      {"GB/s", 1e9},         {"MB/s", 1e6},      {"kB/s", 1e3},      {"B/s", 1},
      {"Gbit/s", 1e9, 8},    {"Mbit/s", 1e6, 8}, {"kbit/s", 1e3, 8}, {"bit/s", 1, 8},
      {"GiB/s", 1073741824}, {"MiB/s", 1048576}, {"KiB/s", 1024}};
  switch (unit) {
    case Unit::kSeconds:
      return seconds;
    case Unit::kBytesPerSecond:
      return rates;
    case Unit::kNone:
      break;
  }
  return none;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// How many digits `text` starts with.
size_t CountDigits(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && IsDigit(text[count])) ++count;
  return count;
}

// Removes "-?(0|[1-9][0-9]*)" from the front. False when it is not there.
bool SkipWhole(std::string_view& text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  const size_t digits = CountDigits(text);
  if (digits == 0 || (digits > 1 && text[0] == '0')) return false;
  text.remove_prefix(digits);
  return true;
}

std::string ToChars(double value, std::chars_format format) {
  char buffer[400];  // 1e308 written out has 309 digits
  const std::to_chars_result result = std::to_chars(buffer, buffer + sizeof(buffer), value, format);
  std::string text(buffer, result.ptr);
  // "1e+09" -> "1e9", "1e-08" -> "1e-8".
  if (const size_t e = text.find('e'); e != std::string::npos) {
    if (text[e + 1] == '+') text.erase(e + 1, 1);
    const size_t digits = text[e + 1] == '-' ? e + 2 : e + 1;
    while (digits + 1 < text.size() && text[digits] == '0') text.erase(digits, 1);
  }
  return text;
}

}  // namespace

std::optional<absl::int128> ParseInteger(std::string_view text) {
  std::string_view rest = text;
  if (!SkipWhole(rest) || !rest.empty()) return std::nullopt;
  const bool negative = text[0] == '-';
  if (negative) text.remove_prefix(1);
  absl::int128 value = 0;
  if (text.size() > 30) {
    value = std::numeric_limits<absl::int128>::max();
  } else {
    for (const char c : text) value = value * 10 + (c - '0');
  }
  return negative ? -value : value;
}

std::optional<double> ParseReal(std::string_view text) {
  std::string_view rest = text;
  if (!SkipWhole(rest)) return std::nullopt;
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    const size_t digits = CountDigits(rest);
    if (digits == 0) return std::nullopt;
    rest.remove_prefix(digits);
  }
  if (!rest.empty() && (rest[0] == 'e' || rest[0] == 'E')) {
    rest.remove_prefix(1);
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
    const size_t digits = CountDigits(rest);
    if (digits == 0) return std::nullopt;
    rest.remove_prefix(digits);
  }
  if (!rest.empty()) return std::nullopt;
  double value = 0;
  const std::from_chars_result result =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) return std::numeric_limits<double>::infinity();
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> ParseQuantity(std::string_view text, Unit unit) {
  if (const std::optional<double> bare = ParseReal(text)) return bare;
  for (const Suffix& suffix : SuffixesOf(unit)) {
    if (text.size() <= suffix.name.size()) continue;
    std::string_view number = text.substr(0, text.size() - suffix.name.size());
    if (text.substr(number.size()) != suffix.name) continue;
    while (!number.empty() && number.back() == ' ') number.remove_suffix(1);
    if (const std::optional<double> value = ParseReal(number))
      return *value * suffix.factor / suffix.divisor;
  }
  return std::nullopt;
}

std::string FormatReal(double value) {
  std::string fixed = ToChars(value, std::chars_format::fixed);
  std::string scientific = ToChars(value, std::chars_format::scientific);
  const size_t readable = fixed.find('.') == std::string::npos ? 10 : 8;
  return fixed.size() <= readable || fixed.size() <= scientific.size() ? fixed : scientific;
}

std::string FormatQuantity(double value, Unit unit) {
  std::string best = FormatReal(value);
  if (value == 0) return best;
  size_t least = std::numeric_limits<size_t>::max();
  for (const Suffix& suffix : SuffixesOf(unit)) {
    std::string text = FormatReal(value * suffix.divisor / suffix.factor);
    text.append(suffix.name);
    if (ParseQuantity(text, unit) != value) continue;
    const size_t length =
        text.size() + (text.find('.') == std::string::npos ? 0 : 1);  // "200us", not "0.2ms"
    if (length < least) {
      least = length;
      best = text;
    }
  }
  return best;
}

}  // namespace weft
