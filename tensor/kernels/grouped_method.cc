#include "tensor/kernels/grouped_method.h"

namespace weft {

std::string Name(GroupedMethod method) {
  return method == GroupedMethod::kOneByOne ? "one_by_one" : "one_launch";
}

std::optional<GroupedMethod> ParseGroupedMethod(std::string_view name) {
  for (const GroupedMethod method : {GroupedMethod::kOneByOne, GroupedMethod::kOneLaunch}) {
    if (name == Name(method)) return method;
  }
  return std::nullopt;
}

}  // namespace weft
