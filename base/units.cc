#include "base/units.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace weft {

std::string FormatBytes(double bytes) {
  const char* const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (std::abs(bytes) >= 1024.0 && unit < 4) {
    bytes /= 1024.0;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, bytes, names[unit]);
}

std::string FormatSeconds(double seconds) {
  const double magnitude = std::abs(seconds);
  if (magnitude >= 120.0) return absl::StrFormat("%.1f min", seconds / 60.0);
  if (magnitude >= 1.0) return absl::StrFormat("%.2f s", seconds);
  if (magnitude >= 1e-3) return absl::StrFormat("%.2f ms", seconds * 1e3);
  return absl::StrFormat("%.1f us", seconds * 1e6);
}

std::string FormatCount(double count) {
  const char* const names[] = {"", " k", " M", " G", " T"};
  int unit = 0;
  while (std::abs(count) >= 1000.0 && unit < 4) {
    count /= 1000.0;
    ++unit;
  }
  return absl::StrFormat("%.*f%s", unit == 0 ? 0 : 1, count, names[unit]);
}

}  // namespace weft
