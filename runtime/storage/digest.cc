#include "runtime/storage/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace weft {

struct Digester::State {
  XXH3_state_t xxh3;  // aligned to 64 bytes by its type; operator new of C++17 honours it
};

Digester::Digester() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

void Digester::Append(const void* data, size_t size) {
  if (size > 0) XXH3_128bits_update(&state_->xxh3, data, size);
}

std::string Digester::Hex() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh3));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * sizeof canonical.digest);
  for (const unsigned char byte : canonical.digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string DigestOf(std::string_view bytes) {
  Digester digester;
  digester.Append(bytes);
  return digester.Hex();
}

}  // namespace weft
