#include "base/fingerprint.h"

namespace weft {
namespace {

uint64_t Mix(uint64_t x) {  // the finaliser of SplitMix64 (Steele, Lea, Flood 2014)
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t Fingerprint(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, 64 bits, then mixed
  for (const char c : bytes) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3u;
  }
  return Mix(hash);
}

uint64_t CombineFingerprints(uint64_t a, uint64_t b) {
  return Mix(a * 0x9e3779b97f4a7c15u + b + 0x632be59bd9b4e019u);
}

}  // namespace weft
