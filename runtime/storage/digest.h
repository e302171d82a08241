#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

// Content digests: XXH3 of 128 bits, written as 32 lower-case hexadecimal digits in canonical
// (big-endian) order, as `xxhsum -H128` prints them. They find accidental damage; they do not
// resist an attacker.

namespace weft {

class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;

  void Append(const void* data, size_t size);
  void Append(std::string_view bytes) { Append(bytes.data(), bytes.size()); }
  // The digest of everything appended so far. More may follow.
  std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string DigestOf(std::string_view bytes);

}  // namespace weft
