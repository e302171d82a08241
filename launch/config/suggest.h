#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft {

// The candidate a person most likely meant by `word`: the nearest by insertions, deletions,
// replacements and swaps of neighbours, when near enough (a third of the word, at least one edit).
// Empty when none is.
std::string_view NearestWord(std::string_view word,
                             const std::vector<std::string_view>& candidates);

}  // namespace weft
