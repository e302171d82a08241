#pragma once

// What Weft uses of NVTX, on the emulator: emulated_device.h says what was named.

extern "C" {
int nvtxRangePushA(const char* name);
int nvtxRangePop();
}
