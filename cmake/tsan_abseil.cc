#include <sanitizer/tsan_interface.h>

#include "absl/time/time.h"

// The distribution's Abseil is built without ThreadSanitizer, which therefore sees no order between
// two holders of an absl::Mutex and calls every guarded access a race. In a thread-sanitized build
// the linker sends our calls of these functions here (--wrap, cmake/WeftWarnings.cmake): they tell
// the sanitizer that an unlock comes before the next lock. Condition functions (Mutex::Await) are
// not covered: they run inside Abseil. Use CondVar.

#define WEFT_REAL(symbol) __real_##symbol
#define WEFT_WRAP(symbol) __wrap_##symbol

extern "C" {

void WEFT_REAL(_ZN4absl7debian35Mutex4LockEv)(void* mutex);
void WEFT_WRAP(_ZN4absl7debian35Mutex4LockEv)(void* mutex) {
  WEFT_REAL(_ZN4absl7debian35Mutex4LockEv)(mutex);
  __tsan_acquire(mutex);
}

void WEFT_REAL(_ZN4absl7debian35Mutex6UnlockEv)(void* mutex);
void WEFT_WRAP(_ZN4absl7debian35Mutex6UnlockEv)(void* mutex) {
  __tsan_release(mutex);
  WEFT_REAL(_ZN4absl7debian35Mutex6UnlockEv)(mutex);
}

void WEFT_REAL(_ZN4absl7debian35Mutex10ReaderLockEv)(void* mutex);
void WEFT_WRAP(_ZN4absl7debian35Mutex10ReaderLockEv)(void* mutex) {
  WEFT_REAL(_ZN4absl7debian35Mutex10ReaderLockEv)(mutex);
  __tsan_acquire(mutex);
}

void WEFT_REAL(_ZN4absl7debian35Mutex12ReaderUnlockEv)(void* mutex);
void WEFT_WRAP(_ZN4absl7debian35Mutex12ReaderUnlockEv)(void* mutex) {
  __tsan_release(mutex);
  WEFT_REAL(_ZN4absl7debian35Mutex12ReaderUnlockEv)(mutex);
}

void WEFT_REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(void* condition, void* mutex);
void WEFT_WRAP(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(void* condition, void* mutex) {
  __tsan_release(mutex);
  WEFT_REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(condition, mutex);
  __tsan_acquire(mutex);
}

bool WEFT_REAL(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
    void* condition, void* mutex, absl::Duration timeout);
bool WEFT_WRAP(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
    void* condition, void* mutex, absl::Duration timeout) {
  __tsan_release(mutex);
  const bool late = WEFT_REAL(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
      condition, mutex, timeout);
  __tsan_acquire(mutex);
  return late;
}

bool WEFT_REAL(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
    void* condition, void* mutex, absl::Time deadline);
bool WEFT_WRAP(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
    void* condition, void* mutex, absl::Time deadline) {
  __tsan_release(mutex);
  const bool late = WEFT_REAL(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
      condition, mutex, deadline);
  __tsan_acquire(mutex);
  return late;
}

}  // extern "C"
