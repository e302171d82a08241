#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/fingerprint.h"

namespace weft {

CounterRng::CounterRng(uint64_t seed, std::string_view stream)
    : key_(CombineFingerprints(Fingerprint(stream), seed)) {}

uint64_t CounterRng::Bits(uint64_t index) const { return CombineFingerprints(key_, index); }

double CounterRng::Uniform(uint64_t index) const {
  return static_cast<double>(Bits(index) >> 11) * 0x1.0p-53;
}

float CounterRng::Normal(uint64_t index) const {
  const double u = 1.0 - Uniform(2 * index);  // (0, 1]: the logarithm is finite
  const double v = Uniform(2 * index + 1);
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
}

}  // namespace weft
