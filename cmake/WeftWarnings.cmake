# Flags for our own code; generated code gets none of them.
add_library(weft_warnings INTERFACE)
target_compile_options(weft_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>>
  $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror,-Wno-unused-parameter>)
target_compile_definitions(weft_warnings INTERFACE OMPI_SKIP_MPICXX=1)

if(WEFT_SANITIZER)
  add_compile_options(-fsanitize=${WEFT_SANITIZER} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEFT_SANITIZER})
endif()

# Options of a test's own source, in which no test spends its time: the compiler does instead. Undefined behaviour is looked
# for in what is tested.
set(WEFT_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)
if(WEFT_SANITIZER)
  set(WEFT_TEST_OPTIONS -O0)
endif()
if(WEFT_SANITIZER MATCHES "undefined")
  list(APPEND WEFT_TEST_OPTIONS -fno-sanitize=undefined)
endif()

# Abseil's locks as ThreadSanitizer has to see them (cmake/tsan_abseil.cc says why).
if(WEFT_SANITIZER STREQUAL "thread")
  add_library(weft_tsan_abseil STATIC ${CMAKE_SOURCE_DIR}/cmake/tsan_abseil.cc)
  target_link_libraries(weft_tsan_abseil PUBLIC absl::synchronization)
  foreach(symbol
      _ZN4absl7debian35Mutex4LockEv _ZN4absl7debian35Mutex6UnlockEv
      _ZN4absl7debian35Mutex10ReaderLockEv _ZN4absl7debian35Mutex12ReaderUnlockEv
      _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
      _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE
      _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)
    add_link_options(LINKER:--wrap=${symbol})
  endforeach()
  # Needed also where only shared libraries (gRPC) use the locks: an archive is not searched for their sake.
  add_link_options(LINKER:--undefined=__wrap__ZN4absl7debian35Mutex4LockEv)
  link_libraries(weft_tsan_abseil)
endif()
