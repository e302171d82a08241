#include "runtime/checkpoint/manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/storage/digest.h"

namespace weft {
namespace {

CheckpointManifest Example() {
  return {300,
          "ep2 esp1",
          {{1000, DigestOf("rank 0")}, {1200, DigestOf("rank 1")}},
          {{"loss", "2.31"}, {"tokens", "1228800"}, {"note", "\"quoted\" \xc3\xa9\n"}}};
}

TEST(Manifest, ReadsAsItWasWritten) {
  const auto text = EncodeManifest(Example());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(
      text->starts_with("{\n  \"schema\": 1,\n  \"step\": 300,\n  \"layout\": \"ep2 esp1\",\n"))
      << *text;
  const auto manifest = ParseManifest(*text);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->step, 300);
  EXPECT_EQ(manifest->layout, "ep2 esp1");
  ASSERT_EQ(manifest->files.size(), 2u);
  EXPECT_EQ(manifest->files[1].size, 1200);
  EXPECT_EQ(manifest->files[1].digest, DigestOf("rank 1"));
  EXPECT_EQ(manifest->metadata, Example().metadata);
}

TEST(Manifest, NoticesEveryFlippedBitAndEveryCut) {
  const std::string text = *EncodeManifest(Example());
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(ParseManifest(flipped).status().code(), absl::StatusCode::kDataLoss) << "bit " << bit;
  }
  for (size_t size = 0; size < text.size(); ++size) {
    ASSERT_EQ(ParseManifest(text.substr(0, size)).status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(ParseManifest(text + " ").status().code(), absl::StatusCode::kDataLoss);
}

TEST(Manifest, TellsAnotherSchemaFromDamage) {
  std::string text = *EncodeManifest(Example());
  const std::string body_begin = "\"schema\": 1";
  text.replace(text.find(body_begin), body_begin.size(), "\"schema\": 2");
  EXPECT_EQ(ParseManifest(text).status().code(), absl::StatusCode::kDataLoss);
  // Sealed anew, as a later program would.
  const size_t seal = text.rfind(",\n  \"digest\"");
  const std::string unsealed = text.substr(0, seal) + "\n}";
  const std::string sealed =
      text.substr(0, seal) + ",\n  \"digest\": \"" + DigestOf(unsealed) + "\"\n}\n";
  const absl::Status status = ParseManifest(sealed).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "the manifest has schema 2; this program reads schema 1");
}

TEST(Manifest, RefusesWhatIsNotUtf8) {
  CheckpointManifest manifest = Example();
  manifest.layout.push_back(static_cast<char>(0xff));
  EXPECT_EQ(EncodeManifest(manifest).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft
