#include "runtime/checkpoint/manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/json_text.h"
#include "runtime/storage/digest.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kDigestKey[] = "digest";

// The one text that stands for the document, its digest filled in.
absl::StatusOr<std::string> Seal(Json document) {
  document.erase(kDigestKey);
  WEFT_ASSIGN_OR_RETURN(const std::string unsealed, JsonText(document, /*indent=*/2));
  document[kDigestKey] = DigestOf(unsealed);
  WEFT_ASSIGN_OR_RETURN(const std::string sealed, JsonText(document, /*indent=*/2));
  return sealed + "\n";
}

// The reading side of an intact document: a missing or mistyped field is a writer's error,
// remembered in ok().
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool ok() const { return ok_; }
  const Json& Object(const char* key) { return Field(key, Json::value_t::object); }
  const Json& Array(const char* key) { return Field(key, Json::value_t::array); }
  std::string Text(const char* key) {
    const Json& field = Field(key, Json::value_t::string);
    return field.is_string() ? field.get<std::string>() : "";
  }
  int64_t Count(const char* key) {
    const Json& field = Field(key, Json::value_t::number_unsigned);
    return field.is_number_unsigned() ? field.get<int64_t>() : -1;
  }

 private:
  const Json& Field(const char* key, Json::value_t type) {
    static const Json kNothing;
    const auto found = object_.find(key);
    if (found != object_.end() && found->type() == type) return *found;
    ok_ = false;
    return kNothing;
  }

  const Json& object_;
  bool ok_ = true;
};

}  // namespace

std::string RankFileName(int rank) { return absl::StrCat("rank-", rank, ".safetensors"); }

absl::StatusOr<std::string> EncodeManifest(const CheckpointManifest& manifest) {
  Json document;
  document["schema"] = static_cast<uint64_t>(kManifestSchema);
  document["step"] = static_cast<uint64_t>(manifest.step);
  document["layout"] = manifest.layout;
  document["files"] = Json::array();
  for (size_t rank = 0; rank < manifest.files.size(); ++rank) {
    document["files"].push_back({{"name", RankFileName(static_cast<int>(rank))},
                                 {"size", static_cast<uint64_t>(manifest.files[rank].size)},
                                 {"xxh3_128", manifest.files[rank].digest}});
  }
  document["metadata"] = Json::object();
  for (const auto& [key, value] : manifest.metadata) document["metadata"][key] = value;
  return Seal(std::move(document));
}

absl::StatusOr<CheckpointManifest> ParseManifest(std::string_view text) {
  const Json document = Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                                    /*allow_exceptions=*/false);
  if (!document.is_object()) return absl::DataLossError("the manifest is not a JSON object");
  const absl::StatusOr<std::string> sealed = Seal(document);
  if (!sealed.ok() || *sealed != text) {
    return absl::DataLossError("the manifest does not match its own digest");
  }
  Fields fields(document);
  if (const int64_t schema = fields.Count("schema"); schema != kManifestSchema) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the manifest has schema ", schema, "; this program reads schema ", kManifestSchema));
  }
  CheckpointManifest manifest;
  manifest.step = fields.Count("step");
  manifest.layout = fields.Text("layout");
  bool files_ok = true;
  for (const Json& file : fields.Array("files")) {
    Fields entry(file);
    manifest.files.push_back({entry.Count("size"), entry.Text("xxh3_128")});
    files_ok = files_ok && entry.ok();
  }
  for (const auto& [key, value] : fields.Object("metadata").items()) {
    if (!value.is_string()) return absl::DataLossError("the manifest's metadata is not text");
    manifest.metadata.emplace(key, value.get<std::string>());
  }
  if (!fields.ok() || !files_ok) return absl::DataLossError("the manifest lacks a field");
  return manifest;
}

}  // namespace weft
