# weft_compile(<target> [TEST]): what all targets of ours have in common: warnings are errors, headers are precompiled. TEST: its
# sources are a test's own.
function(weft_compile target)
  cmake_parse_arguments(ARG "TEST" "" "" ${ARGN})
  target_link_libraries(${target} PRIVATE weft_warnings)
  set(headers weft_precompiled)
  if(ARG_TEST)
    set(headers weft_precompiled_test)
    target_compile_options(${target} PRIVATE ${WEFT_TEST_OPTIONS})
  endif()
  if(WEFT_PRECOMPILED)
    target_precompile_headers(${target} REUSE_FROM ${headers})
  endif()
endfunction()

# weft_library(<name> SRCS a.cc ... DEPS weft::x third::party ...)
#   A static library of the current top folder, checked against WeftLayers. DEPS are public.
function(weft_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REGEX REPLACE "/.*" "" layer ${relative})
  if(ARG_SRCS)
    add_library(weft_${name} STATIC ${ARG_SRCS})
    target_include_directories(weft_${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(weft_${name} PUBLIC ${ARG_DEPS})
    weft_compile(weft_${name})
  else()
    add_library(weft_${name} INTERFACE)
    target_include_directories(weft_${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(weft_${name} INTERFACE ${ARG_DEPS})
  endif()
  set_target_properties(weft_${name} PROPERTIES WEFT_LAYER ${layer})
  weft_check_layer(${layer} ${ARG_DEPS})
  add_library(weft::${name} ALIAS weft_${name})
endfunction()

# weft_binary(<name> SRCS ... DEPS ...): an executable in bin/, checked against WeftLayers.
function(weft_binary name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REGEX REPLACE "/.*" "" layer ${relative})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  weft_compile(${name})
  weft_check_layer(${layer} ${ARG_DEPS})
endfunction()

# weft_test_suite(<name> SRCS ... DEPS ...): tests, or what tests share, compiled once for every weft_test that has
#   weft::<name> among its DEPS. What they run on, a source of that test says.
function(weft_test_suite name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_library(weft_${name} OBJECT ${ARG_SRCS})
  target_link_libraries(weft_${name} PUBLIC ${ARG_DEPS} PRIVATE GTest::gtest)
  weft_compile(weft_${name} TEST)
  add_library(weft::${name} ALIAS weft_${name})
endfunction()

# weft_test(<name> SRCS x_test.cc DEPS ... [LABELS ...]): one GoogleTest binary, one ctest entry.
function(weft_test name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest_main)
  weft_compile(${name} TEST)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set(timeout 300)
  if(WEFT_SANITIZER)
    set(timeout 900)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "unit;${ARG_LABELS}"
    ENVIRONMENT "OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive;TSAN_OPTIONS=ignore_noninstrumented_modules=1")
endfunction()

# weft_mpi_test(<name> SRCS x_mpi_test.cc DEPS ... RANKS 1 2 4): run under real mpirun, one ctest entry a size.
# The test's own main() must initialise MPI (tests/support/mpi_main.cc does).
function(weft_mpi_test name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;RANKS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest)
  weft_compile(${name} TEST)
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}.${ranks}
      COMMAND mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1
              --mca btl_vader_single_copy_mechanism none -n ${ranks} $<TARGET_FILE:${name}>
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name}.${ranks} PROPERTIES TIMEOUT 300 LABELS mpi PROCESSORS 2
      ENVIRONMENT "OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;TSAN_OPTIONS=ignore_noninstrumented_modules=1;ASAN_OPTIONS=detect_leaks=0")
  endforeach()
endfunction()
