#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/check.h"

namespace weft {

// A directory of its own for one test, removed with everything in it.
class TestDirectory {
 public:
  TestDirectory() : path_((std::filesystem::temp_directory_path() / "weft-test-XXXXXX").string()) {
    WEFT_CHECK(mkdtemp(path_.data()) != nullptr, "a temporary directory can be made");
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Writes a file below the directory, with the folders it needs, and returns its path.
  std::string Write(std::string_view name, std::string_view content) const {
    std::string file = File(name);
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream out(file, std::ios::binary);
    out << content;
    WEFT_CHECK(out.flush().good(), "a test file can be written");
    return file;
  }

 private:
  std::string path_;
};

}  // namespace weft
