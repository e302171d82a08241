#include "profiler/sinks/metrics_jsonl.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

namespace weft {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string FreshPath(const std::string& name) {
  const std::string path = testing::TempDir() + name;
  std::filesystem::remove(path);
  return path;
}

TEST(MetricsToJson, KeepsOrderTypesAndPrecision) {
  EXPECT_EQ(MetricsToJson({{"step", int64_t{7}}, {"loss", 0.1}, {"a\"b", true}, {"s", "x\n"}}),
            R"({"step":7,"loss":0.1,"a\"b":true,"s":"x\n"})");
  EXPECT_EQ(MetricsToJson({}), "{}");
}

TEST(MetricsToJson, WhatIsNotFiniteIsNull) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string text =
      MetricsToJson({{"loss", std::nan("")}, {"up", infinity}, {"down", -infinity}});
  EXPECT_EQ(text, R"({"loss":null,"up":null,"down":null})");
}

TEST(MetricsToJson, BytesThatAreNotUtf8AreReplaced) {
  const auto parsed = nlohmann::json::parse(MetricsToJson({{"name", std::string("a\xff") + "b"}}));
  EXPECT_EQ(parsed["name"],
            "a\xEF\xBF\xBD"
            "b");
}

TEST(MetricsJsonl, EveryLineIsInTheFileWhenAppendReturns) {
  const std::string path = FreshPath("metrics_flushed.jsonl");
  auto metrics = MetricsJsonl::Open(path);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  ASSERT_TRUE((*metrics)->Append({{"step", int64_t{1}}}).ok());
  EXPECT_EQ(ReadAll(path), "{\"step\":1}\n");
  ASSERT_TRUE((*metrics)->Append({{"step", int64_t{2}}}).ok());
  EXPECT_EQ(ReadAll(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(MetricsJsonl, GoesOnAfterARunThatWasKilledInTheMiddleOfALine) {
  const std::string path = FreshPath("metrics_torn.jsonl");
  std::ofstream(path) << "{\"step\":1}\n{\"ste";
  auto metrics = MetricsJsonl::Open(path);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  ASSERT_TRUE((*metrics)->Append({{"step", int64_t{2}}}).ok());
  EXPECT_EQ(ReadAll(path), "{\"step\":1}\n{\"ste\n{\"step\":2}\n");
}

TEST(MetricsJsonl, ErrorsNameTheFile) {
  const auto missing = MetricsJsonl::Open(testing::TempDir() + "no/such/folder/m.jsonl");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("no/such/folder/m.jsonl"), absl::string_view::npos);

  auto full = MetricsJsonl::Open("/dev/full");
  ASSERT_TRUE(full.ok()) << full.status();
  const absl::Status status = (*full)->Append({{"step", int64_t{1}}});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("/dev/full"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace weft
