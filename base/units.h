#pragma once

#include <cstdint>
#include <string>

namespace weft {

// Numbers as a person reads them: "1.5 MiB", "2.34 ms", "12.3 k".
std::string FormatBytes(double bytes);
std::string FormatSeconds(double seconds);
std::string FormatCount(double count);

}  // namespace weft
