#include "launch/config/errors.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace weft {

void ErrorList::Add(const Origin& where, const std::string& message) {
  if (!full()) entries_.push_back({where, message});
  ++count_;
}

absl::Status ErrorList::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::vector<Entry> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return std::make_tuple(a.where.line == 0, a.where.line, a.where.column) <
           std::make_tuple(b.where.line == 0, b.where.line, b.where.column);
  });
  std::string text;
  for (const Entry& entry : sorted) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", entry.where.ToString(), ": ", entry.message);
  }
  if (count_ > kMaxShown) absl::StrAppend(&text, "\n... and ", count_ - kMaxShown, " more");
  return absl::InvalidArgumentError(text);
}

std::string Quoted(std::string_view text) {
  constexpr size_t kMaxBytes = 64;
  const bool cut = text.size() > kMaxBytes;
  if (cut) {
    size_t end = kMaxBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
      --end;  // not inside a character
    text = text.substr(0, end);
  }
  const std::string escaped = absl::Utf8SafeCHexEscape(absl::string_view(text.data(), text.size()));
  return absl::StrCat("'", escaped, cut ? "..." : "", "'");
}

}  // namespace weft
