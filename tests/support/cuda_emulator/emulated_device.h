#pragma once

#include <cstdint>
#include <set>
#include <string>

// What tests may ask of the emulator; the code under test sees cuda_runtime.h alone.

namespace cuda_emulator {

// The next n launches fail.
void FailLaunches(int n);
// 0: as on a machine without a driver, cudaGetDeviceCount fails.
void SetDevices(int count);

// Whether devices that are opened from now on find cuBLASLt; its products and algorithms chosen
// since the start.
void SetCublasLt(bool there);
int64_t LtProductsRun();
int64_t LtAlgorithmsChosen();
// Whether devices that are opened from now on find cuDNN; its runs since the start.
void SetCudnn(bool there);
int64_t CudnnRuns();
// Launches of grouped kernels since the start.
int64_t GroupedLaunches();

// The names of NVTX ranges that kernels were launched in since the start; "" for outside of any.
std::set<std::string> RangesOfLaunches();

}  // namespace cuda_emulator
