#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// The makespan of one MoE layer's pipeline in closed form. The event simulator is the authority;
// these are its unit tests, and the case label a person reads. Schedule: inter-node stream D1..Dr,
// gradients, C1..Cr; intra-node stream AG1..AGr, RS1..RSr; compute E1..Er. Cases 1 to 4 follow
// FSMoE (arXiv 2501.10714, section 4); the eight terms and their exactness for g != s are derived,
// see docs.

namespace weft {

// Seconds of one chunk each: all-to-all, gather, expert, scatter; and of the gradient slice on the
// inter-node stream.
struct LayerTimes {
  double a = 0;
  double g = 0;
  double e = 0;
  double s = 0;
  double gamma = 0;
};

// {t1, t2, t3, t4}: 2ra + gamma, 2a + g + s + re, 2ra + g + s, 2a + rg + rs.
std::array<double, 4> CaseTimes(const LayerTimes& times, int32_t r);

// Exact: max(t1, t2, t3, t4, (r+1)a + g + rs, (r+1)a + rg + s, 2a + rg + e + s, 2a + g + e + rs).
double PipelineSeconds(const LayerTimes& times, int32_t r);

// 1 to 4: the largest of CaseTimes, the first one of equals.
int CaseLabel(const LayerTimes& times, int32_t r);
std::string_view CaseMeaning(
    int label);  // "inter-node communication with gradients", "compute", ...

// Tutel's pipeline: both kinds of communication share one stream; d = a + g, c = a + s:
// max(r(d + c), d + re + c, d + e + rc, rd + e + c).
double OneStreamSeconds(const LayerTimes& times, int32_t r);

}  // namespace weft
