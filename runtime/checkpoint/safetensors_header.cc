#include "runtime/checkpoint/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/json_text.h"

namespace weft {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::string_view kMetadataKey = "__metadata__";

struct StoredType {
  std::string_view name;
  uint64_t bits;
};
constexpr StoredType kStoredTypes[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
};

// Where the reference implementation sorts a type; the lowest comes first in the data section.
int SortRank(DType dtype) {
  switch (dtype) {
    case DType::kI64:
      return 0;
    case DType::kF64:
      return 1;
    case DType::kF32:
      return 2;
    case DType::kI32:
      return 3;
    case DType::kBF16:
      return 4;
    case DType::kU8:
      return 5;
  }
  return 6;
}

std::string Quoted(const std::string& name) { return absl::StrCat("'", name, "'"); }

// Walks the header's JSON as a state machine that accepts this one shape of document and nothing
// else.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string error;

  bool key(string_t& name) override {
    switch (place_) {
      case Place::kTop:
        if (!names_.insert(name).second) return Fail(absl::StrCat(Quoted(name), " appears twice"));
        if (name == kMetadataKey) return Expect(Place::kMetadataBegin);
        header.tensors.emplace_back().name = name;
        return Expect(Place::kTensorBegin);
      case Place::kMetadata:
        if (header.metadata.contains(name)) {
          return Fail(absl::StrCat("the metadata key ", Quoted(name), " appears twice"));
        }
        metadata_key_ = name;
        return Expect(Place::kMetadataValue);
      case Place::kTensor:
        if (!fields_.insert(name).second) {
          return Fail(absl::StrCat(Tensor(), " has the field ", Quoted(name), " twice"));
        }
        if (name == "dtype") return Expect(Place::kDType);
        if (name == "shape") return Expect(Place::kShapeBegin);
        if (name == "data_offsets") return Expect(Place::kOffsetsBegin);
        return Fail(absl::StrCat(Tensor(), " has the unknown field ", Quoted(name)));
      default:
        return Unexpected();
    }
  }

  bool start_object(std::size_t /*elements*/) override {
    switch (place_) {
      case Place::kStart:
        return Expect(Place::kTop);
      case Place::kMetadataBegin:
        return Expect(Place::kMetadata);
      case Place::kTensorBegin:
        fields_.clear();
        offsets_.clear();
        return Expect(Place::kTensor);
      default:
        return Unexpected();
    }
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (fields_.size() != 3) {
        return Fail(absl::StrCat(Tensor(), " needs dtype, shape and data_offsets"));
      }
      if (offsets_.size() != 2) {
        return Fail(absl::StrCat(Tensor(), " has ", offsets_.size(), " data_offsets, not 2"));
      }
      header.tensors.back().begin = offsets_[0];
      header.tensors.back().end = offsets_[1];
    }
    return Expect(place_ == Place::kTop ? Place::kEnd : Place::kTop);
  }

  bool start_array(std::size_t /*elements*/) override {
    if (place_ == Place::kShapeBegin) return Expect(Place::kShape);
    if (place_ == Place::kOffsetsBegin) return Expect(Place::kOffsets);
    return Unexpected();
  }
  bool end_array() override { return Expect(Place::kTensor); }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadataValue) {
      header.metadata.emplace(metadata_key_, value);
      return Expect(Place::kMetadata);
    }
    if (place_ == Place::kDType) {
      header.tensors.back().dtype = value;
      return Expect(Place::kTensor);
    }
    return Unexpected();
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Fail(absl::StrCat(Tensor(), " has the number ", value, ", beyond 2^63 - 1"));
    }
    if (place_ == Place::kShape) {
      header.tensors.back().shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ == Place::kOffsets) {
      offsets_.push_back(static_cast<int64_t>(value));
      return true;
    }
    return Unexpected();
  }

  bool number_integer(number_integer_t /*value*/) override { return Unexpected(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override {
    return Unexpected();
  }
  bool boolean(bool /*value*/) override { return Unexpected(); }
  bool null() override { return Unexpected(); }
  bool binary(binary_t& /*value*/) override { return Unexpected(); }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) override {
    return Fail(absl::StrCat("its header is not JSON in UTF-8 at byte ", position));
  }

 private:
  // What the next event may be.
  enum class Place {
    kStart,
    kTop,  // a name, or the end
    kMetadataBegin,
    kMetadata,  // a key, or the end
    kMetadataValue,
    kTensorBegin,
    kTensor,  // a field, or the end
    kDType,
    kShapeBegin,
    kShape,  // a number, or the end
    kOffsetsBegin,
    kOffsets,  // a number, or the end
    kEnd,
  };

  bool Expect(Place place) {
    place_ = place;
    return true;
  }
  bool Fail(std::string message) {
    error = std::move(message);
    return false;
  }
  std::string Tensor() const {
    return header.tensors.empty() ? "its header"
                                  : absl::StrCat("tensor ", Quoted(header.tensors.back().name));
  }
  bool Unexpected() {
    switch (place_) {
      case Place::kMetadataBegin:
        return Fail("__metadata__ is not an object");
      case Place::kMetadataValue:
        return Fail(absl::StrCat("the metadata of ", Quoted(metadata_key_), " is not a string"));
      case Place::kTensorBegin:
        return Fail(absl::StrCat(Tensor(), " is not described by an object"));
      case Place::kDType:
        return Fail(absl::StrCat(Tensor(), ": dtype is not a string"));
      case Place::kShapeBegin:
      case Place::kShape:
        return Fail(absl::StrCat(Tensor(), ": shape is not an array of whole numbers"));
      case Place::kOffsetsBegin:
      case Place::kOffsets:
        return Fail(absl::StrCat(Tensor(), ": data_offsets is not an array of whole numbers"));
      default:
        return Fail("its header is not a JSON object");
    }
  }

  Place place_ = Place::kStart;
  std::set<std::string> names_;
  std::set<std::string> fields_;
  std::string metadata_key_;
  std::vector<int64_t> offsets_;
};

// The bytes that a tensor of this type and shape takes.
absl::StatusOr<uint64_t> BytesOf(const SafetensorsEntry& tensor) {
  const auto* type = std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                                  [&](const StoredType& t) { return t.name == tensor.dtype; });
  if (type == std::end(kStoredTypes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(tensor.name), " has the unknown dtype ", tensor.dtype));
  }
  uint64_t bits = 1;
  bool overflow = false;
  for (const int64_t dim : tensor.shape) {
    overflow |= __builtin_mul_overflow(bits, static_cast<uint64_t>(dim), &bits);
  }
  overflow |= __builtin_mul_overflow(bits, type->bits, &bits);
  if (overflow || bits % 8 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(tensor.name), " of ", tensor.dtype, " [",
                     absl::StrJoin(tensor.shape, ", "), "] ",
                     overflow ? "is too large" : "does not fill whole bytes"));
  }
  return bits / 8;
}

// Whether the tensors fill the data section exactly; sorts them by their data.
absl::Status CheckData(std::vector<SafetensorsEntry>& tensors, int64_t data_bytes) {
  std::sort(tensors.begin(), tensors.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  int64_t filled = 0;
  for (const SafetensorsEntry& tensor : tensors) {
    WEFT_ASSIGN_OR_RETURN(const uint64_t bytes, BytesOf(tensor));
    if (tensor.begin != filled) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", Quoted(tensor.name), " begins at ", tensor.begin, ", which ",
          tensor.begin < filled ? "overlaps what ends at " : "leaves a hole after ", filled));
    }
    if (tensor.end < tensor.begin || static_cast<uint64_t>(tensor.end - tensor.begin) != bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(tensor.name), " has the data_offsets [", tensor.begin,
                       ", ", tensor.end, "] but ", tensor.dtype, " [",
                       absl::StrJoin(tensor.shape, ", "), "] takes ", bytes, " bytes"));
    }
    filled = tensor.end;
  }
  if (filled != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("its tensors take ", filled, " bytes but its data section has ", data_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(std::span<const NamedTensor> tensors) {
  std::set<std::string_view> names;
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name.empty() || tensor.name == kMetadataKey) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(tensor.name), " cannot be the name of a tensor"));
    }
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(tensor.name), " is given twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view SafetensorsDType(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return "F64";
    case DType::kI64:
      return "I64";
    case DType::kF32:
      return "F32";
    case DType::kI32:
      return "I32";
    case DType::kBF16:
      return "BF16";
    case DType::kU8:
      return "U8";
  }
  return "?";
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view front,
                                                         int64_t file_bytes) {
  uint64_t header_bytes = 0;
  if (front.size() < sizeof header_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_bytes, " bytes are too short for a safetensors file"));
  }
  std::memcpy(&header_bytes, front.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header of ", header_bytes, " bytes exceeds the limit of 100,000,000"));
  }
  if (header_bytes > front.size() - sizeof header_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header of ", header_bytes, " bytes exceeds the file of ", file_bytes));
  }
  const std::string_view text = front.substr(sizeof header_bytes, header_bytes);
  // The parser would skip a byte order mark and take a zero byte for the end.
  if (text.empty() || text.front() != '{' || text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("its header is not a JSON object");
  }
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) {
    return absl::InvalidArgumentError(reader.error);
  }
  reader.header.data_begin = static_cast<int64_t>(sizeof header_bytes + header_bytes);
  WEFT_RETURN_IF_ERROR(CheckData(reader.header.tensors, file_bytes - reader.header.data_begin));
  return std::move(reader.header);
}

absl::StatusOr<SafetensorsLayout> LayOutSafetensors(
    std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata) {
  WEFT_RETURN_IF_ERROR(CheckNames(tensors));
  SafetensorsLayout layout;
  layout.order.resize(tensors.size());
  std::iota(layout.order.begin(), layout.order.end(), size_t{0});
  std::sort(layout.order.begin(), layout.order.end(), [&](size_t a, size_t b) {
    return std::pair(SortRank(tensors[a].view.dtype), std::string_view(tensors[a].name)) <
           std::pair(SortRank(tensors[b].view.dtype), std::string_view(tensors[b].name));
  });

  nlohmann::ordered_json header;
  header[kMetadataKey] = metadata;
  header[kMetadataKey]["format"] = "pt";
  int64_t offset = 0;
  for (const size_t index : layout.order) {
    const ConstTensorView& view = tensors[index].view;
    auto& entry = header[tensors[index].name];
    entry["dtype"] = SafetensorsDType(view.dtype);
    entry["shape"] = nlohmann::ordered_json::array();
    for (int i = 0; i < view.shape.rank(); ++i) entry["shape"].push_back(view.dim(i));
    entry["data_offsets"] = {offset, offset + view.bytes()};
    offset += view.bytes();
  }
  WEFT_ASSIGN_OR_RETURN(std::string text, JsonText(header, /*indent=*/-1));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a header of ", text.size(), " bytes exceeds the limit of 100,000,000"));
  }
  const uint64_t header_bytes = text.size();
  layout.front.assign(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  layout.front += text;
  return layout;
}

}  // namespace weft
