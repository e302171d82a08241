#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "graph/json_io.h"
#include "graph/plan.h"

namespace weft {
namespace {

using json_io::View;
using nlohmann::json;

constexpr std::string_view kFile = "plan.json";
constexpr std::string_view kFormat = "weft.plan";
constexpr int64_t kVersion = 7;
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

// "17<separator>" at the front of `text`: returns the number and drops both from `text`; -1
// otherwise.
int64_t TakeNumber(std::string_view& text, char separator) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const size_t length = static_cast<size_t>(end - text.data());
  if (error != std::errc() || value < 0 || length == text.size() || text[length] != separator) {
    return -1;
  }
  text.remove_prefix(length + 1);
  return value;
}

// The inverse of TaskName: the operation by its name, then the piece in brackets.
bool ParseTask(const StepGraph& graph, const std::map<std::string, OpId, std::less<>>& ops,
               std::string_view name, PlanTask& task) {
  const size_t bracket = std::min(name.find('['), name.size());
  const auto op = ops.find(name.substr(0, bracket));
  if (op == ops.end()) return false;
  task.op = op->second;
  std::string_view piece = name.substr(bracket);
  const Cut cut = graph.op(task.op).cut;
  if (cut == Cut::kWhole || (cut == Cut::kEither && piece.empty())) return piece.empty();
  if (piece.empty()) return false;
  piece.remove_prefix(1);
  const int64_t first = TakeNumber(piece, cut == Cut::kSlices ? ':' : '/');
  const int64_t second = TakeNumber(piece, ']');
  if (first < 0 || second < 0 || !piece.empty()) return false;
  if (cut == Cut::kSlices) {
    task.begin = first;
    task.end = second;
    return true;
  }
  task.chunk = static_cast<int32_t>(std::min(first, kMaxInt32));
  task.num_chunks = static_cast<int32_t>(std::min(second, kMaxInt32));
  return task.chunk == first && task.num_chunks == second;
}

absl::StatusOr<int32_t> ReadInt32(std::string_view where, const json& value, const char* field,
                                  int64_t least) {
  WEFT_ASSIGN_OR_RETURN(const int64_t number,
                        json_io::ReadInt(where, value, field, least, kMaxInt32));
  return static_cast<int32_t>(number);
}

absl::StatusOr<DegreeChoice> ReadDegree(const std::string& where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"layer", "direction", "degree"}));
  DegreeChoice choice;
  WEFT_ASSIGN_OR_RETURN(choice.layer, ReadInt32(where, value, "layer", 0));
  WEFT_ASSIGN_OR_RETURN(const std::string direction,
                        json_io::ReadString(where, value, "direction"));
  WEFT_ASSIGN_OR_RETURN(choice.degree, ReadInt32(where, value, "degree", 1));
  if (direction != "fwd" && direction != "bwd") {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": field 'direction' must be \"fwd\" or \"bwd\""));
  }
  choice.direction = direction == "fwd" ? Direction::kForward : Direction::kBackward;
  return choice;
}

absl::StatusOr<AllToAllChoice> ReadAllToAll(const std::string& where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"layer", "algorithm"}));
  AllToAllChoice choice;
  WEFT_ASSIGN_OR_RETURN(choice.layer, ReadInt32(where, value, "layer", 0));
  WEFT_ASSIGN_OR_RETURN(const std::string name, json_io::ReadString(where, value, "algorithm"));
  const absl::StatusOr<AllToAllAlgorithm> algorithm = ParseAllToAllAlgorithm(name);
  if (!algorithm.ok()) return WithContext(algorithm.status(), where);
  choice.algorithm = *algorithm;
  return choice;
}

bool AreExperts(const json& list) {
  return list.is_array() && std::all_of(list.begin(), list.end(), [](auto& e) {
           return e.is_number_integer() && e >= 0 && e <= kMaxInt32;
         });
}

absl::StatusOr<PlacementChoice> ReadPlacement(const std::string& where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"layer", "experts", "gathered"}));
  PlacementChoice choice;
  WEFT_ASSIGN_OR_RETURN(choice.layer, ReadInt32(where, value, "layer", 0));
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(where, value, "experts"));
  for (const json& member : value["experts"]) {
    if (!AreExperts(member)) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": field 'experts' must list the experts of every EP member"));
    }
    choice.experts.push_back(member.get<std::vector<int32_t>>());
  }
  WEFT_ASSIGN_OR_RETURN(choice.gathered, ReadInt32(where, value, "gathered", 1));
  return choice;
}

absl::StatusOr<HomeChoice> ReadHomes(const std::string& where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"layer", "experts"}));
  HomeChoice choice;
  WEFT_ASSIGN_OR_RETURN(choice.layer, ReadInt32(where, value, "layer", 0));
  if (!AreExperts(value["experts"])) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": field 'experts' must list who lives at every home"));
  }
  choice.experts = value["experts"].get<std::vector<int32_t>>();
  return choice;
}

std::string FollowLoadText(const std::optional<FollowLoad>& follow) {
  if (!follow.has_value()) return "null";
  return absl::StrCat("{\"window\": ", follow->window,
                      ", \"copies\": ", follow->copies ? "true" : "false",
                      ", \"row_seconds\": ", json_io::Number(follow->row_seconds),
                      ", \"far_row_seconds\": ", json_io::Number(follow->far_row_seconds),
                      ", \"move_seconds\": ", json_io::Number(follow->move_seconds), "}");
}

absl::StatusOr<std::optional<FollowLoad>> ReadFollowLoad(const json& file) {
  if (!file.contains("follow_load"))
    return absl::InvalidArgumentError(
        absl::StrCat(View(kFile), ": field 'follow_load' is missing"));
  const json& value = file["follow_load"];
  if (value.is_null()) return std::nullopt;
  const std::string where = absl::StrCat(View(kFile), ": follow_load");
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(
      where, value, {"window", "copies", "row_seconds", "far_row_seconds", "move_seconds"}));
  FollowLoad follow;
  WEFT_ASSIGN_OR_RETURN(const int64_t window,
                        json_io::ReadInt(where, value, "window", 1, FollowLoad::kMostWindow));
  follow.window = static_cast<int32_t>(window);
  if (!value.contains("copies") || !value["copies"].is_boolean()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": field 'copies' must be true or false"));
  }
  follow.copies = value["copies"].get<bool>();
  WEFT_ASSIGN_OR_RETURN(follow.row_seconds, json_io::ReadNumber(where, value, "row_seconds"));
  WEFT_ASSIGN_OR_RETURN(follow.far_row_seconds,
                        json_io::ReadNumber(where, value, "far_row_seconds"));
  WEFT_ASSIGN_OR_RETURN(follow.move_seconds, json_io::ReadNumber(where, value, "move_seconds"));
  return follow;
}

absl::StatusOr<PlanTask> ReadTask(const std::string& where, const json& value,
                                  const StepGraph& graph,
                                  const std::map<std::string, OpId, std::less<>>& ops) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"task", "stream", "begin", "seconds"}));
  PlanTask task;
  WEFT_ASSIGN_OR_RETURN(const std::string name, json_io::ReadString(where, value, "task"));
  WEFT_ASSIGN_OR_RETURN(const std::string stream, json_io::ReadString(where, value, "stream"));
  if (!ParseTask(graph, ops, name, task)) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": field 'task' must name a task of this graph, not ", json_io::Quoted(name)));
  }
  if (stream != Name(graph.op(task.op).stream)) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": field 'stream' must be \"",
                                                   View(Name(graph.op(task.op).stream)), "\" for ",
                                                   name));
  }
  WEFT_ASSIGN_OR_RETURN(task.predicted_begin, json_io::ReadNumber(where, value, "begin"));
  WEFT_ASSIGN_OR_RETURN(task.predicted_seconds, json_io::ReadNumber(where, value, "seconds"));
  return task;
}

// Every element of a list of the file: read(where, value) gives one of them.
template <typename Read, typename Choice>
absl::Status ReadList(const json& file, const char* field, const Read& read,
                      std::vector<Choice>& list) {
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(kFile, file, field));
  for (const json& value : file[field]) {
    const std::string where = absl::StrCat(View(kFile), ": ", field, "[", list.size(), "]");
    WEFT_ASSIGN_OR_RETURN(Choice one, read(where, value));
    list.push_back(std::move(one));
  }
  return absl::OkStatus();
}

}  // namespace

std::string PlanToJson(const StepGraph& graph, const Plan& plan) {
  std::string text;
  absl::StrAppend(&text, "{\n  \"format\": \"", View(kFormat), "\",\n  \"version\": ", kVersion,
                  ",\n  \"epoch\": ", plan.epoch,
                  ",\n  \"graph_fingerprint\": ", json_io::Hex(plan.graph_fingerprint),
                  ",\n  \"policy\": ", json_io::Quoted(plan.policy),
                  ",\n  \"numerics\": ", json_io::Quoted(plan.numerics),
                  ",\n  \"streams\": ", plan.streams, ",\n  \"sm_limit\": ", plan.sm_limit,
                  ",\n  \"predicted_seconds\": ", json_io::Number(plan.predicted_seconds),
                  ",\n  \"degrees\": [");
  const char* separator = "\n";
  for (const DegreeChoice& choice : plan.degrees) {
    absl::StrAppend(&text, separator, "    {\"layer\": ", choice.layer, ", \"direction\": \"",
                    View(Name(choice.direction)), "\", \"degree\": ", choice.degree, "}");
    separator = ",\n";
  }
  absl::StrAppend(&text, "\n  ],\n  \"all_to_alls\": [");
  separator = "\n";
  for (const AllToAllChoice& choice : plan.all_to_alls) {
    absl::StrAppend(&text, separator, "    {\"layer\": ", choice.layer, ", \"algorithm\": \"",
                    View(Name(choice.algorithm)), "\"}");
    separator = ",\n";
  }
  absl::StrAppend(&text, plan.all_to_alls.empty() ? "" : "\n  ", "],\n  \"placements\": [");
  separator = "\n";
  for (const PlacementChoice& choice : plan.placements.layers) {
    absl::StrAppend(&text, separator, "    {\"layer\": ", choice.layer, ", \"experts\": [",
                    absl::StrJoin(choice.experts, ", ",
                                  [](std::string* out, const std::vector<int32_t>& member) {
                                    absl::StrAppend(out, "[", absl::StrJoin(member, ", "), "]");
                                  }),
                    "], \"gathered\": ", choice.gathered, "}");
    separator = ",\n";
  }
  absl::StrAppend(&text, plan.placements.empty() ? "" : "\n  ",
                  "],\n  \"follow_load\": ", FollowLoadText(plan.placements.follow_load),
                  ",\n  \"homes\": [");
  separator = "\n";
  for (const HomeChoice& choice : plan.placements.homes) {
    absl::StrAppend(&text, separator, "    {\"layer\": ", choice.layer, ", \"experts\": [",
                    absl::StrJoin(choice.experts, ", "), "]}");
    separator = ",\n";
  }
  absl::StrAppend(&text, plan.placements.homes.empty() ? "" : "\n  ", "],\n  \"tasks\": [");
  separator = "\n";
  for (const PlanTask& task : plan.tasks) {
    absl::StrAppend(&text, separator, "    {\"task\": \"", TaskName(graph, task),
                    "\", \"stream\": \"", View(Name(graph.op(task.op).stream)),
                    "\", \"begin\": ", json_io::Number(task.predicted_begin),
                    ", \"seconds\": ", json_io::Number(task.predicted_seconds), "}");
    separator = ",\n";
  }
  absl::StrAppend(&text, "\n  ]\n}\n");
  return text;
}

absl::StatusOr<Plan> PlanFromJson(const StepGraph& graph, std::string_view text) {
  WEFT_ASSIGN_OR_RETURN(const json file, json_io::Parse(kFile, text));
  WEFT_RETURN_IF_ERROR(
      json_io::CheckFields(kFile, file,
                           {"format", "version", "epoch", "graph_fingerprint", "policy", "numerics",
                            "streams", "sm_limit", "predicted_seconds", "degrees", "all_to_alls",
                            "placements", "follow_load", "homes", "tasks"}));
  WEFT_RETURN_IF_ERROR(json_io::CheckFormat(kFile, file, kFormat, kVersion));
  Plan plan;
  WEFT_ASSIGN_OR_RETURN(plan.epoch, json_io::ReadInt(kFile, file, "epoch", 0, kMaxInt64));
  WEFT_ASSIGN_OR_RETURN(plan.graph_fingerprint, json_io::ReadHex(kFile, file, "graph_fingerprint"));
  if (plan.graph_fingerprint != FingerprintOf(graph)) {
    return absl::InvalidArgumentError(
        "plan.json: it was made for another model, layout or batch (its graph_fingerprint "
        "differs)");
  }
  WEFT_ASSIGN_OR_RETURN(plan.policy, json_io::ReadString(kFile, file, "policy"));
  WEFT_ASSIGN_OR_RETURN(plan.numerics, json_io::ReadString(kFile, file, "numerics"));
  WEFT_ASSIGN_OR_RETURN(const int64_t streams,
                        json_io::ReadInt(kFile, file, "streams", 1, kNumStreams));
  plan.streams = static_cast<int32_t>(streams);
  WEFT_ASSIGN_OR_RETURN(plan.sm_limit, ReadInt32(kFile, file, "sm_limit", 0));
  WEFT_ASSIGN_OR_RETURN(plan.predicted_seconds,
                        json_io::ReadNumber(kFile, file, "predicted_seconds"));
  Placements& placements = plan.placements;
  WEFT_RETURN_IF_ERROR(ReadList(file, "degrees", ReadDegree, plan.degrees));
  WEFT_RETURN_IF_ERROR(ReadList(file, "all_to_alls", ReadAllToAll, plan.all_to_alls));
  WEFT_RETURN_IF_ERROR(ReadList(file, "placements", ReadPlacement, placements.layers));
  WEFT_ASSIGN_OR_RETURN(placements.follow_load, ReadFollowLoad(file));
  WEFT_RETURN_IF_ERROR(ReadList(file, "homes", ReadHomes, placements.homes));
  std::map<std::string, OpId, std::less<>> ops;
  for (const Op& op : graph.ops) ops.emplace(OpName(graph, op.id), op.id);
  const auto read_task = [&](const std::string& where, const json& value) {
    return ReadTask(where, value, graph, ops);
  };
  WEFT_RETURN_IF_ERROR(ReadList(file, "tasks", read_task, plan.tasks));
  return plan;
}

}  // namespace weft
