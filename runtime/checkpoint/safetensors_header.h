#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "tensor/view.h"

// The front of a safetensors file: u64 little-endian N, then N bytes of JSON {"name": {"dtype",
// "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {text: text}}, then the data
// section, which the tensors fill without holes, row-major and little-endian.

namespace weft {

struct NamedTensor {
  std::string name;
  ConstTensorView view;
};

struct SafetensorsEntry {
  std::string name;
  std::string
      dtype;  // the format's name: "F32", "BF16", ... also of types that Weft does not compute with
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes within the data section
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
  int64_t data_begin = 0;  // byte in the file where the data section begins
};

// "F32" for DType::kF32, and so on.
std::string_view SafetensorsDType(DType dtype);

// Checks the header of a whole file of `file_bytes` bytes that begins with `front` (at least the
// header) by every rule of the format: size of the header, strict JSON in UTF-8 with no name twice,
// known types, data in ascending order without hole, overlap or rest, sizes that follow from type
// and shape without overflow. kInvalidArgument says which rule broke for which tensor.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view front,
                                                         int64_t file_bytes);

struct SafetensorsLayout {
  std::string front;          // everything before the data section
  std::vector<size_t> order;  // indices of the tensors as their data follows
};

// The bytes that the reference implementation would write: tensors sorted by type (widest first),
// then name, and "format": "pt" among the metadata, without which some readers refuse the file.
// kInvalidArgument: a name twice, empty or reserved, or text that is not UTF-8.
absl::StatusOr<SafetensorsLayout> LayOutSafetensors(
    std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata);

}  // namespace weft
