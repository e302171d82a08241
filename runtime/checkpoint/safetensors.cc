#include "runtime/checkpoint/safetensors.h"

#include <utility>

#include "base/status_macros.h"
#include "runtime/storage/digest.h"

namespace weft {

absl::StatusOr<FileDigest> WriteSafetensors(const std::string& path,
                                            std::span<const NamedTensor> tensors,
                                            const std::map<std::string, std::string>& metadata) {
  const absl::StatusOr<SafetensorsLayout> layout = LayOutSafetensors(tensors, metadata);
  if (!layout.ok()) return WithContext(layout.status(), path);
  WEFT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Make(path));
  Digester digester;
  digester.Append(layout->front);
  WEFT_RETURN_IF_ERROR(file.Append(layout->front));
  for (const size_t index : layout->order) {
    const ConstTensorView& view = tensors[index].view;
    const std::string_view data(static_cast<const char*>(view.data),
                                static_cast<size_t>(view.bytes()));
    digester.Append(data);
    WEFT_RETURN_IF_ERROR(file.Append(data));
  }
  WEFT_RETURN_IF_ERROR(file.Close());
  return FileDigest{file.size(), digester.Hex()};
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Load(const std::string& path) {
  WEFT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Load(path));
  auto header = ParseSafetensorsHeader(file.bytes(), static_cast<int64_t>(file.bytes().size()));
  if (!header.ok()) return WithContext(header.status(), path);
  return SafetensorsFile(std::move(file), *std::move(header));
}

SafetensorsFile::SafetensorsFile(MappedFile file, SafetensorsHeader header)
    : file_(std::move(file)), header_(std::move(header)) {
  for (const SafetensorsEntry& entry : header_.tensors) by_name_.emplace(entry.name, &entry);
}

const SafetensorsEntry* SafetensorsFile::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::string_view SafetensorsFile::Data(const SafetensorsEntry& entry) const {
  return file_.bytes().substr(static_cast<size_t>(header_.data_begin + entry.begin),
                              static_cast<size_t>(entry.end - entry.begin));
}

}  // namespace weft
