#include <cstddef>

// Stands where the driver's libcuda.so.1 would, for libraries that make plans without a device: it
// finds none, and takes any compiled kernel for loaded. Nothing else that it is asked for succeeds.

namespace {

constexpr int kSuccess = 0;
constexpr int kNoDevice = 100;
int loaded = 0;  // what handles point to

}  // namespace

// NOLINTBEGIN(readability-identifier-naming, misc-unused-parameters)
extern "C" {

int cuInit(unsigned /*flags*/) { return kNoDevice; }
int cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
int cuDeviceGetCount(int* count) {
  *count = 0;
  return kSuccess;
}
int cuGetErrorName(int /*error*/, const char** text) {
  *text = "an error of a driver without a device";
  return kSuccess;
}
int cuGetErrorString(int error, const char** text) { return cuGetErrorName(error, text); }
int cuLibraryLoadData(void** library, const void* /*code*/, void* /*jit_options*/,
                      void* /*jit_values*/, unsigned /*jit_count*/, void* /*options*/,
                      void* /*values*/, unsigned /*count*/) {
  *library = &loaded;
  return kSuccess;
}
int cuLibraryGetKernel(void** kernel, void* /*library*/, const char* /*name*/) {
  *kernel = &loaded;
  return kSuccess;
}
int cuLibraryUnload(void* /*library*/) { return kSuccess; }

// Looked up, and not called before something runs.
#define WEFT_NO_DEVICE(name) \
  int name() { return kNoDevice; }
WEFT_NO_DEVICE(cuCtxGetCurrent)
WEFT_NO_DEVICE(cuCtxGetDevice)
WEFT_NO_DEVICE(cuCtxGetLimit)
WEFT_NO_DEVICE(cuCtxPopCurrent)
WEFT_NO_DEVICE(cuCtxPushCurrent)
WEFT_NO_DEVICE(cuDeviceGet)
WEFT_NO_DEVICE(cuDeviceGetAttribute)
WEFT_NO_DEVICE(cuDevicePrimaryCtxRelease)
WEFT_NO_DEVICE(cuDevicePrimaryCtxReset)
WEFT_NO_DEVICE(cuDevicePrimaryCtxRetain)
WEFT_NO_DEVICE(cuFuncGetAttribute)
WEFT_NO_DEVICE(cuFuncSetAttribute)
WEFT_NO_DEVICE(cuKernelGetAttribute)
WEFT_NO_DEVICE(cuKernelSetAttribute)
WEFT_NO_DEVICE(cuLaunchCooperativeKernel)
WEFT_NO_DEVICE(cuLaunchKernel)
WEFT_NO_DEVICE(cuLaunchKernelEx)
WEFT_NO_DEVICE(cuLibraryLoadFromFile)
WEFT_NO_DEVICE(cuLinkAddData)
WEFT_NO_DEVICE(cuLinkAddData_v2)
WEFT_NO_DEVICE(cuLinkAddFile_v2)
WEFT_NO_DEVICE(cuLinkComplete)
WEFT_NO_DEVICE(cuLinkCreate)
WEFT_NO_DEVICE(cuLinkCreate_v2)
WEFT_NO_DEVICE(cuLinkDestroy)
WEFT_NO_DEVICE(cuMemcpyDtoH_v2)
WEFT_NO_DEVICE(cuModuleGetFunction)
WEFT_NO_DEVICE(cuModuleGetGlobal_v2)
WEFT_NO_DEVICE(cuModuleLoadData)
WEFT_NO_DEVICE(cuModuleLoadDataEx)
WEFT_NO_DEVICE(cuModuleLoadFatBinary)
WEFT_NO_DEVICE(cuModuleUnload)
WEFT_NO_DEVICE(cuOccupancyMaxActiveBlocksPerMultiprocessor)
WEFT_NO_DEVICE(cuOccupancyMaxPotentialClusterSize)
WEFT_NO_DEVICE(cuStreamGetCtx)
WEFT_NO_DEVICE(cuStreamSynchronize)
WEFT_NO_DEVICE(cuTensorMapEncodeTiled)
#undef WEFT_NO_DEVICE

}  // extern "C"
// NOLINTEND(readability-identifier-naming, misc-unused-parameters)
