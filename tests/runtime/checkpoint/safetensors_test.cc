#include "runtime/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "runtime/storage/digest.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

// What Python's safetensors 0.8.0 (numpy) writes for the tensors of Golden::Tensors() and
// {"format": "pt"}.
constexpr std::string_view kGoldenHeader =
    R"({"__metadata__":{"format":"pt"},"i":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
    R"("d":{"dtype":"F64","shape":[],"data_offsets":[16,24]},)"
    R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[24,32]},)"
    R"("b":{"dtype":"F32","shape":[3],"data_offsets":[32,44]},)"
    R"("z":{"dtype":"F32","shape":[0,4],"data_offsets":[44,44]},)"
    R"("j":{"dtype":"I32","shape":[1],"data_offsets":[44,48]},)"
    R"("u":{"dtype":"U8","shape":[3],"data_offsets":[48,51]}}      )";

std::string GoldenBytes() {
  return absl::StrCat(absl::HexStringToBytes("a801000000000000"), std::string(kGoldenHeader),
                      absl::HexStringToBytes("01000000000000000200000000000000"  // i
                                             "000000000000f83f"                  // d
                                             "0000803f00000040"                  // a
                                             "000000000000803f00000040"          // b
                                             "07000000"                          // j
                                             "010203"));                         // u
}

struct Golden {
  float b[3] = {0, 1, 2};
  float a[2] = {1, 2};
  double d = 1.5;
  int64_t i[2] = {1, 2};
  int32_t j = 7;
  uint8_t u[3] = {1, 2, 3};

  std::vector<NamedTensor> Tensors() const {
    return {{"b", View(b, {3})},
            {"a", View(a, {1, 2})},
            {"d", View(&d, {})},
            {"i", View(i, {2})},
            {"j", View(&j, {1})},
            {"u", View(u, {3})},
            {"z", {nullptr, DType::kF32, {0, 4}}}};
  }
};

// A file of this header and `data_bytes` zeros.
absl::StatusOr<SafetensorsHeader> Parse(std::string_view header, size_t data_bytes) {
  const uint64_t size = header.size();
  std::string file(reinterpret_cast<const char*>(&size), sizeof size);
  file += header;
  file.append(data_bytes, '\0');
  return ParseSafetensorsHeader(file, static_cast<int64_t>(file.size()));
}

std::string ParseError(std::string_view header, size_t data_bytes = 4) {
  const absl::Status status = Parse(header, data_bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << header;
  return std::string(status.message());
}

TEST(Safetensors, WritesTheGoldenBytes) {
  const TestDirectory directory;
  const Golden golden;
  const auto digest = WriteSafetensors(directory.File("f"), golden.Tensors(), {});
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*LoadFile(directory.File("f")), GoldenBytes());
  EXPECT_EQ(digest->size, static_cast<int64_t>(GoldenBytes().size()));
  EXPECT_EQ(digest->digest, DigestOf(GoldenBytes()));
}

TEST(Safetensors, ReadsTheGoldenBytes) {
  const TestDirectory directory;
  const auto file = SafetensorsFile::Load(directory.Write("f", GoldenBytes()));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->header().metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  const Golden golden;
  ASSERT_EQ(file->header().tensors.size(), golden.Tensors().size());
  for (const NamedTensor& tensor : golden.Tensors()) {
    const SafetensorsEntry* entry = file->Find(tensor.name);
    ASSERT_NE(entry, nullptr) << tensor.name;
    EXPECT_EQ(entry->dtype, SafetensorsDType(tensor.view.dtype));
    ASSERT_EQ(static_cast<int>(entry->shape.size()), tensor.view.shape.rank());
    const std::string_view data = file->Data(*entry);
    ASSERT_EQ(static_cast<int64_t>(data.size()), tensor.view.bytes());
    EXPECT_TRUE(data.empty() || std::memcmp(data.data(), tensor.view.data, data.size()) == 0);
  }
  EXPECT_EQ(file->Find("absent"), nullptr);
}

TEST(Safetensors, KeepsMetadataAndUnicode) {
  const TestDirectory directory;
  const uint16_t half = 0x3f80;
  const auto written = WriteSafetensors(
      directory.File("f"), std::vector<NamedTensor>{{"poids.\xc3\xa9", {&half, DType::kBF16, {1}}}},
      {{"a\n", "\"\\\xc3\xa9"}});
  ASSERT_TRUE(written.ok()) << written.status();
  const auto file = SafetensorsFile::Load(directory.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->header().metadata.at("a\n"), "\"\\\xc3\xa9");
  EXPECT_EQ(file->header().metadata.at("format"), "pt");
  ASSERT_NE(file->Find("poids.\xc3\xa9"), nullptr);
  EXPECT_EQ(file->Find("poids.\xc3\xa9")->dtype, "BF16");
  EXPECT_EQ(file->header().data_begin % 8, 0);
}

TEST(Safetensors, WritesNoTensors) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteSafetensors(directory.File("f"), {}, {}).ok());
  const auto file = SafetensorsFile::Load(directory.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->header().tensors.empty());
}

TEST(Safetensors, RefusesToWriteBadNames) {
  const TestDirectory directory;
  const Golden golden;
  const auto error = [&](const std::string& first, const std::string& second) {
    const std::vector<NamedTensor> tensors = {{first, View(golden.a, {2})},
                                              {second, View(golden.b, {3})}};
    return std::string(WriteSafetensors(directory.File("f"), tensors, {}).status().message());
  };
  const std::string path = directory.File("f");
  EXPECT_EQ(error("x", "x"), path + ": tensor 'x' is given twice");
  EXPECT_EQ(error("x", ""), path + ": '' cannot be the name of a tensor");
  EXPECT_EQ(error("__metadata__", "x"), path + ": '__metadata__' cannot be the name of a tensor");
  EXPECT_NE(error("x", "\xff").find("cannot be written as JSON"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SafetensorsHeader, TakesEveryTypeOfTheFormat) {
  EXPECT_TRUE(Parse(R"({"x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4).ok());
  EXPECT_TRUE(Parse(R"({"x":{"data_offsets":[0,4],"dtype":"F4","shape":[2,4]}}  )", 4).ok());
  EXPECT_TRUE(Parse(R"({"x":{"dtype":"C64","shape":[],"data_offsets":[0,8]}})", 8).ok());
  EXPECT_TRUE(Parse(R"({"x":{"dtype":"U16","shape":[1,1,1,1,1,2],"data_offsets":[0,4]}})", 4).ok());
  EXPECT_TRUE(Parse(R"({})", 0).ok());
}

TEST(SafetensorsHeader, SaysWhichRuleBroke) {
  const auto tensor = [](const std::string& fields) { return "{\"x\":{" + fields + "}}"; };
  // The file around the JSON.
  EXPECT_EQ(ParseSafetensorsHeader("1234567", 7).status().message(),
            "7 bytes are too short for a safetensors file");
  EXPECT_EQ(ParseSafetensorsHeader(std::string(7, '\xff') + '\x7f', 8).status().message(),
            "its header of 9223372036854775807 bytes exceeds the limit of 100,000,000");
  EXPECT_EQ(ParseSafetensorsHeader(std::string("\3\0\0\0\0\0\0\0{}", 10), 10).status().message(),
            "its header of 3 bytes exceeds the file of 10");
  // The JSON.
  EXPECT_EQ(ParseError(""), "its header is not a JSON object");
  EXPECT_EQ(ParseError("[]"), "its header is not a JSON object");
  EXPECT_EQ(ParseError("\xef\xbb\xbf{}"), "its header is not a JSON object");
  EXPECT_EQ(ParseError(std::string("{}\0", 3)), "its header is not a JSON object");
  EXPECT_EQ(ParseError("{"), "its header is not JSON in UTF-8 at byte 2");
  EXPECT_EQ(ParseError("{} x", 0), "its header is not JSON in UTF-8 at byte 4");
  EXPECT_EQ(ParseError("{\"\xff\":{}}"), "its header is not JSON in UTF-8 at byte 3");
  EXPECT_EQ(ParseError(std::string(100000, '{')), "its header is not JSON in UTF-8 at byte 2");
  EXPECT_EQ(ParseError("{\"x\":" + std::string(100000, '[')),
            "tensor 'x' is not described by an object");
  // Names and fields.
  EXPECT_EQ(ParseError(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0078":{}})"),
            "'x' appears twice");
  EXPECT_EQ(ParseError(R"({"__metadata__":{},"__metadata__":{}})"), "'__metadata__' appears twice");
  EXPECT_EQ(ParseError(R"({"__metadata__":{"a":"b","a":"c"}})"),
            "the metadata key 'a' appears twice");
  EXPECT_EQ(ParseError(R"({"__metadata__":{"a":1}})"), "the metadata of 'a' is not a string");
  EXPECT_EQ(ParseError(R"({"__metadata__":[]})"), "__metadata__ is not an object");
  EXPECT_EQ(ParseError(R"({"x":1})"), "tensor 'x' is not described by an object");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","shape":[4])")),
            "tensor 'x' needs dtype, shape and data_offsets");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","dtype":"U8")")),
            "tensor 'x' has the field 'dtype' twice");
  EXPECT_EQ(ParseError(tensor(R"("offsets":[0,4])")), "tensor 'x' has the unknown field 'offsets'");
  EXPECT_EQ(ParseError(tensor(R"("dtype":3)")), "tensor 'x': dtype is not a string");
  for (const char* shape :
       {"4", "[-4]", "[4.0]", "[\"4\"]", "[[4]]", "[true]", "[1e3]", "[100000000000000000000]"}) {
    EXPECT_EQ(ParseError(tensor(absl::StrCat("\"shape\":", shape))),
              "tensor 'x': shape is not an array of whole numbers");
  }
  EXPECT_EQ(ParseError(tensor(R"("shape":[9223372036854775808])")),
            "tensor 'x' has the number 9223372036854775808, beyond 2^63 - 1");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,4])")),
            "tensor 'x' has 3 data_offsets, not 2");
  // The data.
  EXPECT_EQ(ParseError(tensor(R"("dtype":"INT","shape":[4],"data_offsets":[0,4])")),
            "tensor 'x' has the unknown dtype INT");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])")),
            "tensor 'x' of F4 [3] does not fill whole bytes");
  EXPECT_EQ(
      ParseError(tensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4])")),
      "tensor 'x' of U8 [4294967296, 4294967296] is too large");
  EXPECT_EQ(
      ParseError(tensor(R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,4])")),
      "tensor 'x' of F64 [2305843009213693952] is too large");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0,4])")),
            "tensor 'x' has the data_offsets [0, 4] but F32 [4] takes 16 bytes");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","shape":[0],"data_offsets":[4,0])")),
            "tensor 'x' begins at 4, which leaves a hole after 0");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","shape":[3],"data_offsets":[0,3])")),
            "its tensors take 3 bytes but its data section has 4");
  EXPECT_EQ(ParseError(tensor(R"("dtype":"U8","shape":[5],"data_offsets":[0,5])")),
            "its tensors take 5 bytes but its data section has 4");
  EXPECT_EQ(ParseError(R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                       R"("y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})"),
            "tensor 'y' begins at 2, which overlaps what ends at 3");
}

// One random change of the bytes: a flipped bit, a cut, a tail, a zeroed or a copied block.
std::string Mutate(const std::string& original, const CounterRng& random, uint64_t index) {
  std::string bytes = original;
  uint64_t draws = 0;
  const auto draw = [&](size_t below) {
    return static_cast<size_t>(random.Bits(index << 8 | draws++) % below);
  };
  switch (draw(5)) {
    case 0:
      bytes[draw(bytes.size())] ^= static_cast<char>(1 << draw(8));
      break;
    case 1:
      bytes.resize(draw(bytes.size()));
      break;
    case 2:
      bytes.append(1 + draw(64), static_cast<char>(draw(256)));
      break;
    case 3: {
      const size_t begin = draw(bytes.size());
      const size_t size = std::min(1 + draw(32), bytes.size() - begin);
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(begin), size, '\0');
      break;
    }
    default: {
      const size_t size = 1 + draw(32);
      const size_t from = draw(bytes.size() - size);
      bytes.replace(draw(bytes.size() - size), size, original, from, size);
      break;
    }
  }
  return bytes;
}

TEST(Safetensors, SurvivesMutationsAndTheDigestFindsThem) {
  const std::string original = GoldenBytes();
  const std::string digest = DigestOf(original);
  const CounterRng random(1, "mutations");
  int changed = 0;
  int refused = 0;
  for (uint64_t index = 0; index < 10000; ++index) {
    const std::string bytes = Mutate(original, random, index);
    if (bytes == original) continue;
    ++changed;
    ASSERT_NE(DigestOf(bytes), digest) << "mutation " << index;
    const auto header = ParseSafetensorsHeader(bytes, static_cast<int64_t>(bytes.size()));
    refused += !header.ok();
    if (!header.ok()) continue;
    for (const SafetensorsEntry& tensor : header->tensors) {
      ASSERT_LE(header->data_begin + tensor.end, static_cast<int64_t>(bytes.size()));
      ASSERT_LE(tensor.begin, tensor.end);
    }
  }
  EXPECT_GT(changed, 9000);
  EXPECT_GT(refused, 6000);  // the others hit data, names or metadata
}

}  // namespace
}  // namespace weft
