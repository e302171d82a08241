#include "launch/config/values.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(ParseIntegerTest, TakesDecimalDigitsOnly) {
  EXPECT_EQ(ParseInteger("0"), absl::int128(0));
  EXPECT_EQ(ParseInteger("-0"), absl::int128(0));
  EXPECT_EQ(ParseInteger("18446744073709551615"),
            absl::int128(std::numeric_limits<uint64_t>::max()));
  EXPECT_EQ(ParseInteger("-2147483648"), absl::int128(-2147483648LL));
  for (const char* text : {"", "-", "+1", "010", "-01", "0x10", "0b1", "0o7", "1_000", "1e3", "5.0",
                           " 1", "1 ", "y"}) {
    EXPECT_FALSE(ParseInteger(text).has_value()) << text;
  }
}

TEST(ParseIntegerTest, SaturatesInsteadOfWrapping) {
  EXPECT_GT(*ParseInteger(std::string(100, '9')),
            absl::int128(std::numeric_limits<int64_t>::max()));
  EXPECT_LT(*ParseInteger("-" + std::string(100, '9')),
            absl::int128(std::numeric_limits<int64_t>::min()));
}

TEST(ParseRealTest, TakesDecimalNumbers) {
  EXPECT_EQ(ParseReal("3"), 3.0);
  EXPECT_EQ(ParseReal("1e3"), 1000.0);
  EXPECT_EQ(ParseReal("-2.5E-1"), -0.25);
  for (const char* text :
       {"", ".5", "5.", "1e", "1e+", "nan", "inf", ".inf", "+1", "01.5", "0x1p3", "1,5", "1 2"}) {
    EXPECT_FALSE(ParseReal(text).has_value()) << text;
  }
  EXPECT_TRUE(std::isinf(*ParseReal("1e999")));
}

TEST(ParseQuantityTest, KnowsTheUnits) {
  EXPECT_EQ(ParseQuantity("30s", Unit::kSeconds), 30.0);
  EXPECT_EQ(ParseQuantity("1ms", Unit::kSeconds), 0.001);
  EXPECT_EQ(ParseQuantity("250 us", Unit::kSeconds), 250e-6);
  EXPECT_EQ(ParseQuantity("1.5min", Unit::kSeconds), 90.0);
  EXPECT_EQ(ParseQuantity("0.5", Unit::kSeconds), 0.5);
  EXPECT_EQ(ParseQuantity("200MB/s", Unit::kBytesPerSecond), 200e6);
  EXPECT_EQ(ParseQuantity("64MiB/s", Unit::kBytesPerSecond), 64.0 * 1048576);
  EXPECT_EQ(ParseQuantity("1Gbit/s", Unit::kBytesPerSecond), 125e6);
  EXPECT_EQ(ParseQuantity("2e8", Unit::kBytesPerSecond), 2e8);
}

TEST(ParseQuantityTest, IsTheNearestDoubleOfTheNumberWritten) {
  EXPECT_EQ(ParseQuantity("5us", Unit::kSeconds), 5e-6);
  EXPECT_EQ(ParseQuantity("0.3ms", Unit::kSeconds), 0.3e-3);
  EXPECT_EQ(ParseQuantity("7ns", Unit::kSeconds), 7e-9);
}

TEST(ParseQuantityTest, RefusesForeignUnits) {
  EXPECT_FALSE(ParseQuantity("30s", Unit::kNone).has_value());
  EXPECT_FALSE(ParseQuantity("30s", Unit::kBytesPerSecond).has_value());
  EXPECT_FALSE(ParseQuantity("1GB/s", Unit::kSeconds).has_value());
  EXPECT_FALSE(ParseQuantity("1Gb/s", Unit::kBytesPerSecond).has_value());  // bits or bytes?
  EXPECT_FALSE(ParseQuantity("1S", Unit::kSeconds).has_value());
  EXPECT_FALSE(ParseQuantity("s", Unit::kSeconds).has_value());
  EXPECT_FALSE(ParseQuantity("1 s s", Unit::kSeconds).has_value());
}

TEST(FormatTest, IsReadable) {
  EXPECT_EQ(FormatReal(0), "0");
  EXPECT_EQ(FormatReal(0.001), "0.001");
  EXPECT_EQ(FormatReal(1e-8), "1e-8");
  EXPECT_EQ(FormatReal(10000), "10000");
  EXPECT_EQ(FormatReal(1e300), "1e300");
  EXPECT_EQ(FormatReal(1.5e-10), "1.5e-10");
  EXPECT_EQ(FormatQuantity(0, Unit::kSeconds), "0");
  EXPECT_EQ(FormatQuantity(60, Unit::kSeconds), "60s");
  EXPECT_EQ(FormatQuantity(0.5, Unit::kSeconds), "0.5s");
  EXPECT_EQ(FormatQuantity(0.0015, Unit::kSeconds), "1.5ms");
  EXPECT_EQ(FormatQuantity(0.0002, Unit::kSeconds), "200us");
  EXPECT_EQ(FormatQuantity(200e6, Unit::kBytesPerSecond), "200MB/s");
}

TEST(FormatTest, ReadsBackToTheSameBits) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    if (value == 0 || std::fpclassify(value) == FP_SUBNORMAL) continue;
    EXPECT_EQ(ParseReal(FormatReal(value)), value);
    EXPECT_EQ(ParseQuantity(FormatQuantity(value, Unit::kSeconds), Unit::kSeconds), value);
    EXPECT_EQ(ParseQuantity(FormatQuantity(value, Unit::kBytesPerSecond), Unit::kBytesPerSecond),
              value);
  }
}

}  // namespace
}  // namespace weft
