#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <mutex>

// The emulator's streams, for stand-ins of libraries that put work of their own into them. One lock
// guards all of the emulator; everything below but TakeLock needs it.

namespace cuda_emulator {

// A piece of a stream's work. True: it has ended. False: it waits for something that is not there
// yet; it is asked again whenever something has changed, by any thread.
using Item = std::function<bool()>;

std::unique_lock<std::mutex> TakeLock();

// Returns the item's position: it has ended when the stream has come so far.
uint64_t Issue(cudaStream_t stream, Item item);
// Runs the stream until it has come to `position` or has to wait. Never blocks. Does nothing for a
// stream that is running already, further out on this thread.
void Advance(cudaStream_t stream, uint64_t position);
// Something has happened that others may wait for.
void Changed();

// That this thread works with.
int CurrentDevice();
// Whether all of it is memory of that device.
bool IsMemoryOf(int device, const void* data);

}  // namespace cuda_emulator
