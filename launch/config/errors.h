#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "launch/config/config.h"

// The mistakes of one configuration, collected so that a person sees all of them at once.

namespace weft {

class ErrorList {
 public:
  static constexpr int kMaxShown = 20;

  void Add(const Origin& where, const std::string& message);

  bool empty() const { return count_ == 0; }
  // Further mistakes are only counted: no need to spend time on wording them.
  bool full() const { return count_ >= kMaxShown; }

  // OK when empty; else kInvalidArgument, "<file>:<line>:<column>: <message>" a line, in the order
  // of the file, then those of the command line.
  absl::Status ToStatus() const;

 private:
  struct Entry {
    Origin where;
    std::string message;
  };
  std::vector<Entry> entries_;
  int count_ = 0;
};

// 'text' as it can be shown on one line of a terminal: escaped and at most 64 bytes long.
std::string Quoted(std::string_view text);

}  // namespace weft
