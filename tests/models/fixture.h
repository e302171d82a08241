#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/checkpoint/safetensors.h"
#include "runtime/worker.h"

namespace weft {

// One training run of the PyTorch oracle (tests/oracle/oracle.py says what is in it). Every
// accessor ends the test program, with the name, when the fixture has no such entry: a fixture is
// part of the test.
class Fixture {
 public:
  // `name`: a file of tests/oracle/fixtures without its suffix.
  explicit Fixture(const std::string& name);

  // The model, batch and optimizer of the run, on one rank.
  WorkerOptions options() const;
  int64_t steps() const { return Integer("steps"); }

  std::span<const float> Floats(const std::string& name) const;
  std::span<const double> Doubles(const std::string& name) const;
  std::span<const int32_t> Integers(const std::string& name) const;
  // Names with `prefix`, without it.
  std::vector<std::string> NamesUnder(const std::string& prefix) const;

 private:
  template <typename T>
  std::span<const T> Values(const std::string& name) const;
  const std::string& Text(const std::string& key) const;
  int32_t Integer(const std::string& key) const;
  double Real(const std::string& key) const;

  SafetensorsFile file_;
};

}  // namespace weft
