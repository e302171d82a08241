#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

// Text to token ids. Every tokenizer is lossless: its ids stand for the bytes they were made from.

namespace weft {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::string_view name() const = 0;
  virtual int32_t vocab_size() const = 0;
  // Appended to every document, where the vocabulary has such an id.
  virtual std::optional<int32_t> end_of_document() const = 0;
  // Ids in [0, vocab_size()). Any bytes are legal input.
  virtual std::vector<int32_t> Encode(std::string_view text) const = 0;
  // The length of the text that these ids stand for: what "per byte" means in bits per byte.
  virtual int64_t TextBytes(std::span<const int32_t> ids) const = 0;
};

// "bytes": the 256 byte values, no special ids. kInvalidArgument lists the known names.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(std::string_view name);

}  // namespace weft
