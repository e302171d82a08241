#include "runtime/job_profile.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "runtime/broadcast.h"
#include "runtime/calibrate.h"
#include "runtime/choose_products.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

bool Knows(const Kernels& kernels, std::optional<GroupedMethod> method) {
  const std::span<const GroupedMethod> known = kernels.grouped_methods();
  return method.has_value() && std::find(known.begin(), known.end(), *method) != known.end();
}

// Costs of one way of computing products of groups are no costs of another.
uint64_t FingerprintOf(const JobProfileArgs& args, GroupedMethod method) {
  const WorkerOptions& o = args.worker.options();
  const bool several = args.worker.kernels().grouped_methods().size() > 1;
  return MachineFingerprint(
      o.topology, o.layout,
      several ? absl::StrCat(args.machine, "; ", Name(method)) : args.machine);
}

// The way that is settled before anything is measured; nullopt: none.
absl::StatusOr<std::optional<GroupedMethod>> SettledProducts(const JobProfileArgs& args,
                                                             std::vector<std::string>& news) {
  const Kernels& kernels = args.worker.kernels();
  const std::string& asked = args.tuning.grouped_products;
  if (asked != "auto") {
    const std::optional<GroupedMethod> method = ParseGroupedMethod(asked);
    if (Knows(kernels, method)) return method;
    return absl::InvalidArgumentError(absl::StrCat(
        "tuning.grouped_products = ", asked, ": this device has ",
        absl::StrJoin(kernels.grouped_methods(), " and ",
                      [](std::string* out, GroupedMethod m) { absl::StrAppend(out, Name(m)); }),
        " alone"));
  }
  const std::optional<GroupedMethod> so_far = ParseGroupedMethod(args.products_so_far);
  if (Knows(kernels, so_far)) return so_far;
  if (!args.products_so_far.empty()) {
    news.push_back(absl::StrCat("products of groups were computed ", args.products_so_far,
                                ", which this device does not have: losses may differ in the last "
                                "bits from those of a run that was not stopped"));
  }
  return std::nullopt;
}

// Rank 0's, of the file: the costs, and the way that they are of.
absl::StatusOr<ProfileTable> LoadProfile(const JobProfileArgs& args,
                                         std::span<const GroupedMethod> ways,
                                         GroupedMethod& method) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(args.tuning.profile));
  WEFT_ASSIGN_OR_RETURN(ProfileTable table, ProfileFromJson(text));
  // Plans choose among limits that were measured and can be had.
  const std::vector<int32_t> limits = args.backend.sm_limits();
  std::erase_if(table.limited_contention, [&](const auto& measured) {
    return std::find(limits.begin(), limits.end(), measured.first) == limits.end();
  });
  const auto way = std::find_if(ways.begin(), ways.end(), [&](GroupedMethod m) {
    return FingerprintOf(args, m) == table.machine_fingerprint;
  });
  if (way == ways.end()) {
    return absl::InvalidArgumentError(
        "was made on another host, layout, emulation or with other products of groups; leave "
        "tuning.profile empty to measure this one");
  }
  method = *way;
  return table;
}

// COLLECTIVE.
absl::StatusOr<ProfileTable> ShareProfile(const JobProfileArgs& args,
                                          std::optional<GroupedMethod> settled) {
  Communicator& control = *args.worker.groups().control;
  Kernels& kernels = args.worker.kernels();
  const std::span<const GroupedMethod> ways = settled.has_value()
                                                  ? std::span<const GroupedMethod>(&*settled, 1)
                                                  : kernels.grouped_methods();
  GroupedMethod method = ways.front();
  absl::StatusOr<ProfileTable> table = ProfileTable();
  if (control.rank() == 0) table = LoadProfile(args, ways, method);
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(
      control, WithContext(table.status(), absl::StrCat("tuning.profile ", args.tuning.profile))));
  WEFT_ASSIGN_OR_RETURN(const std::string name, BroadcastText(control, Name(method)));
  kernels.UseGroupedMethod(ParseGroupedMethod(name).value_or(method));
  return table;
}

// COLLECTIVE.
absl::StatusOr<ProfileTable> MeasureProfile(const JobProfileArgs& args,
                                            std::optional<GroupedMethod> settled,
                                            std::vector<std::string>& news) {
  Kernels& kernels = args.worker.kernels();
  if (settled.has_value()) {
    kernels.UseGroupedMethod(*settled);
  } else {
    WEFT_ASSIGN_OR_RETURN(const std::vector<MeasuredProducts> ranked,
                          ChooseProducts(args.backend, args.worker));
    const auto describe = [](std::string* out, const MeasuredProducts& products) {
      absl::StrAppend(out, Name(products.method), " ", FormatSeconds(products.seconds));
    };
    if (ranked.size() > 1) {
      news.push_back(absl::StrCat("products of groups: ", absl::StrJoin(ranked, ", ", describe),
                                  " for the experts of a calibration step; ",
                                  Name(ranked.front().method), " stays"));
    }
  }
  WEFT_ASSIGN_OR_RETURN(Calibration made,
                        Calibrate(args.backend, args.worker, args.tuning.profile_seconds));
  news.push_back(absl::StrFormat("profile: %d kinds of operations measured on all ranks in %s",
                                 made.table.entries.size(), FormatSeconds(made.seconds)));
  made.table.machine_fingerprint = FingerprintOf(args, kernels.grouped_method());
  return std::move(made.table);
}

}  // namespace

absl::StatusOr<JobProfile> FindJobProfile(const JobProfileArgs& args) {
  JobProfile profile;
  const auto settled = SettledProducts(args, profile.news);
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(*args.worker.groups().control, settled.status()));
  WEFT_ASSIGN_OR_RETURN(profile.table, args.tuning.profile.empty()
                                           ? MeasureProfile(args, *settled, profile.news)
                                           : ShareProfile(args, *settled));
  return profile;
}

}  // namespace weft
