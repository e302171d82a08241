#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launch/commands/arguments.h"

// The three questions `weft simulate` answers. Each returns what goes to standard output: JSON with
// --json, a table otherwise.

namespace weft {

// --layer 'r=4,a=1.4,g=1.2,e=0.6,s=1.3,gar=0' --order NAME: the makespan of one layer.
absl::StatusOr<std::string> SimulateOneLayer(const Arguments& arguments);
// --grid fsmoe-1458 --cluster FILE [--layers N]
absl::StatusOr<std::string> SimulateGrid(const Arguments& arguments);
// --model FILE --cluster FILE
absl::StatusOr<std::string> SimulateModel(const Arguments& arguments);

// --policy a,b: those; otherwise all. kInvalidArgument for one that is not known.
absl::StatusOr<std::vector<std::string>> PoliciesOf(const Arguments& arguments);

}  // namespace weft
