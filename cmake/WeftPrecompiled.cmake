# Headers of the system that nearly every source reads, parsed once: about two seconds less for each of a thousand
# objects. None of ours: one that changes would rebuild everything. Sources include what they use all the same:
# clang-tidy (tests/run.sh) reads them without this.
option(WEFT_PRECOMPILED "Parse the commonest headers once" ON)

set(WEFT_PRECOMPILED_HEADERS
  <algorithm> <array> <cmath> <cstdint> <functional> <map> <memory> <optional> <span> <string> <string_view> <utility>
  <vector> <absl/status/status.h> <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <absl/synchronization/mutex.h> <absl/time/time.h>)

# Where nothing is precompiled a source is compiled by itself. OpenMP is an option of the language: what links it sets
# DISABLE_PRECOMPILE_HEADERS.
if(WEFT_PRECOMPILED)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-pthread>) # MPI brings it, and all must have it or none
  # ccache asks for this with GCC, and for the sloppiness that CMakePresets.json sets.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
  add_library(weft_precompiled OBJECT ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
  target_link_libraries(weft_precompiled PRIVATE weft_warnings absl::statusor)
  target_precompile_headers(weft_precompiled PRIVATE ${WEFT_PRECOMPILED_HEADERS})
  if(WEFT_TESTS)
    add_library(weft_precompiled_test OBJECT ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
    target_link_libraries(weft_precompiled_test PRIVATE weft_warnings absl::statusor GTest::gtest)
    target_compile_options(weft_precompiled_test PRIVATE ${WEFT_TEST_OPTIONS})
    target_precompile_headers(weft_precompiled_test PRIVATE ${WEFT_PRECOMPILED_HEADERS} <gtest/gtest.h>)
  endif()
endif()
