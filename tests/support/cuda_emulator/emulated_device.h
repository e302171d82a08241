#pragma once

// What tests may ask of the emulator; the code under test sees cuda_runtime.h alone.

namespace cuda_emulator {

// The next n launches fail.
void FailLaunches(int n);
// 0: as on a machine without a driver, cudaGetDeviceCount fails.
void SetDevices(int count);

}  // namespace cuda_emulator
