#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

// How products of groups are computed: by the library for single products, on a device over
// several streams; or by one kernel that knows groups. Bits of a row are those of Gemm in the
// first way alone.
enum class GroupedMethod : uint8_t { kOneByOne, kOneLaunch };

std::string Name(GroupedMethod method);  // "one_by_one", "one_launch"
std::optional<GroupedMethod> ParseGroupedMethod(std::string_view name);

}  // namespace weft
