#include "scheduler/closed_forms.h"

#include <algorithm>

#include "base/check.h"

namespace weft {

std::array<double, 4> CaseTimes(const LayerTimes& t, int32_t r) {
  return {2 * r * t.a + t.gamma, 2 * t.a + t.g + t.s + r * t.e, 2 * r * t.a + t.g + t.s,
          2 * t.a + r * t.g + r * t.s};
}

double PipelineSeconds(const LayerTimes& t, int32_t r) {
  const std::array<double, 4> cases = CaseTimes(t, r);
  return std::max({cases[0], cases[1], cases[2], cases[3], (r + 1) * t.a + t.g + r * t.s,
                   (r + 1) * t.a + r * t.g + t.s, 2 * t.a + r * t.g + t.e + t.s,
                   2 * t.a + t.g + t.e + r * t.s});
}

int CaseLabel(const LayerTimes& times, int32_t r) {
  const std::array<double, 4> cases = CaseTimes(times, r);
  return static_cast<int>(std::max_element(cases.begin(), cases.end()) - cases.begin()) + 1;
}

std::string_view CaseMeaning(int label) {
  switch (label) {
    case 1:
      return "inter-node communication with gradients";
    case 2:
      return "compute";
    case 3:
      return "inter-node communication";
    case 4:
      return "intra-node communication";
  }
  WEFT_CHECK(false, "cases are 1 to 4");
}

double OneStreamSeconds(const LayerTimes& t, int32_t r) {
  const double d = t.a + t.g;
  const double c = t.a + t.s;
  return std::max({r * (d + c), d + r * t.e + c, d + t.e + r * c, r * d + t.e + c});
}

}  // namespace weft
