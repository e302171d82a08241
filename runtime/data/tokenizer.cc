#include "runtime/data/tokenizer.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

class BytesTokenizer final : public Tokenizer {
 public:
  std::string_view name() const override { return "bytes"; }
  int32_t vocab_size() const override { return 256; }
  std::optional<int32_t> end_of_document() const override { return std::nullopt; }

  std::vector<int32_t> Encode(std::string_view text) const override {
    std::vector<int32_t> ids(text.size());
    for (size_t i = 0; i < text.size(); ++i) ids[i] = static_cast<uint8_t>(text[i]);
    return ids;
  }

  int64_t TextBytes(std::span<const int32_t> ids) const override {
    return static_cast<int64_t>(ids.size());
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(std::string_view name) {
  if (name == "bytes") return std::make_unique<BytesTokenizer>();
  return absl::InvalidArgumentError(
      absl::StrCat("unknown tokenizer '", std::string(name), "'; known tokenizers: bytes"));
}

}  // namespace weft
