#include "runtime/explain_placement.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"

namespace weft {
namespace {

// The rows of a layer's busiest rank by those of an even load.
double BusiestRank(const StepGraph& graph, const StepGraph& expected, int32_t layer) {
  double carried = 0, even = 0;
  for (const Op& op : graph.ops) {
    if (op.layer != layer || op.key.kind != OpKind::kExpert) continue;
    carried += op.size;
    even += expected.op(op.id).size;
  }
  return even > 0 ? carried / even : 1;
}

// Who lives elsewhere than the configuration says.
std::string ExplainHomes(const Plan& plan, const StepGraph& graph) {
  if (plan.placements.homes.empty()) return "";
  std::string text =
      "where experts live, where the load moved them\n"
      "  layer  expert (EP member by the configuration > now)\n";
  for (const HomeChoice& choice : plan.placements.homes) {
    absl::StrAppendFormat(&text, "  %-5d ", choice.layer);
    for (int32_t home = 0; home < graph.experts; ++home) {
      const int32_t expert = choice.experts[static_cast<size_t>(home)];
      const int32_t before = HomeOf(graph.experts, graph.ep, expert);
      const int32_t now = HomeOf(graph.experts, graph.ep, home);
      if (before != now) absl::StrAppendFormat(&text, " %d (%d > %d)", expert, before, now);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace

std::string ExplainPlacement(const Plan& plan, const StepGraph& expected, const StepGraph& home,
                             const StepGraph& placed) {
  std::string text = ExplainHomes(plan, expected);
  if (plan.placements.empty()) return text;
  absl::StrAppend(&text, "where experts work\n");
  if (plan.placements.follow_load.has_value()) {
    const FollowLoad& follow = *plan.placements.follow_load;
    absl::StrAppendFormat(
        &text,
        "  they follow the load: placed before every step by the rows of the last %d, %s copies; "
        "per row %s on the busiest rank and %s between ranks, per expert that moves %s\n",
        follow.window, follow.copies ? "with" : "without", FormatSeconds(follow.row_seconds),
        FormatSeconds(follow.far_row_seconds), FormatSeconds(follow.move_seconds));
  }
  for (const PlacementChoice& choice : plan.placements.layers) {
    if (choice.gathered == 1) continue;
    absl::StrAppendFormat(&text,
                          "  layer %d: ranks gather %d of the %d shards of an expert, and rows "
                          "among %d\n",
                          choice.layer, choice.gathered, expected.esp,
                          expected.esp / choice.gathered);
  }
  absl::StrAppend(&text,
                  "  layer  rows of the busiest rank by the mean: at home  as placed   experts away"
                  "  copies\n");
  for (const PlacementChoice& choice : plan.placements.layers) {
    const ExpertPlacement placement = PlacementOf(expected, plan, choice.layer);
    int32_t away = 0;
    for (int32_t e = 0; e < placement.experts(); ++e) {
      for (const int32_t slot : placement.copies(e)) {
        away += placement.member(slot) != HomeOf(placement.experts(), placement.members(), e);
      }
    }
    absl::StrAppendFormat(&text, "  %-5d  %38s %8.2f  %9.2f   %12d  %6d\n", choice.layer, "",
                          BusiestRank(home, expected, choice.layer),
                          BusiestRank(placed, expected, choice.layer), away,
                          placement.slots() - placement.experts());
  }
  return text;
}

}  // namespace weft
