# CUDA: its toolkit compiles tensor/kernels/cuda; its runtime is linked statically, so that programs start on machines
# without a driver. Other libraries of NVIDIA are opened when they are used.
set(WEFT_CUDA AUTO CACHE STRING "Build the CUDA device: AUTO (when there is a toolkit), ON or OFF")
set_property(CACHE WEFT_CUDA PROPERTY STRINGS AUTO ON OFF)

set(WEFT_HAS_CUDA OFF)
set(WEFT_HAS_NCCL OFF)
if(WEFT_CUDA STREQUAL "AUTO" OR WEFT_CUDA STREQUAL "ON")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES 90a-real)
    enable_language(CUDA)
    # CMake 3.25 knows no nvcc with C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    # Named once more, a system's headers would come before those of the compiler.
    list(APPEND CMAKE_CUDA_IMPLICIT_INCLUDE_DIRECTORIES /usr/include)
    find_package(CUDAToolkit 13.0 REQUIRED)
    set(WEFT_HAS_CUDA ON)
    # Its header alone: the library is opened when it is used.
    find_path(WEFT_NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  elseif(WEFT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "WEFT_CUDA=ON, but there is no CUDA toolkit: put nvcc (13.0 or later) on PATH, or configure with AUTO or OFF")
  endif()
elseif(NOT WEFT_CUDA STREQUAL "OFF")
  message(FATAL_ERROR "WEFT_CUDA is '${WEFT_CUDA}'; it can be AUTO, ON or OFF")
endif()
if(WEFT_HAS_CUDA AND WEFT_NCCL_INCLUDE_DIR)
  set(WEFT_HAS_NCCL ON)
endif()

# CUTLASS: headers that compile grouped products (tensor/kernels/cuda/cutlass). launch/install_dependencies.sh --cuda puts
# them where they are found.
set(WEFT_CUTLASS_DIR "" CACHE PATH "CUTLASS 4: the folder that has include/cutlass, or an installed PyPI package of it")
set(WEFT_HAS_CUTLASS OFF)
if(WEFT_HAS_CUDA)
  find_path(WEFT_CUTLASS_INCLUDE cutlass/cutlass.h NO_DEFAULT_PATH
    HINTS ${WEFT_CUTLASS_DIR} ${CMAKE_SOURCE_DIR}/build/cutlass
    PATH_SUFFIXES include cutlass_library/source/include)
  if(WEFT_CUTLASS_INCLUDE)
    file(STRINGS ${WEFT_CUTLASS_INCLUDE}/cutlass/version.h lines REGEX "define CUTLASS_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^0-9;]" "" WEFT_CUTLASS_VERSION "${lines}")
    string(REPLACE ";" "." WEFT_CUTLASS_VERSION "${WEFT_CUTLASS_VERSION}")
    if(WEFT_CUTLASS_VERSION VERSION_LESS 4.2)
      message(FATAL_ERROR "${WEFT_CUTLASS_INCLUDE} has CUTLASS ${WEFT_CUTLASS_VERSION}; 4.2 or later is needed")
    endif()
    set(WEFT_HAS_CUTLASS ON)
  elseif(WEFT_CUTLASS_DIR)
    message(FATAL_ERROR "WEFT_CUTLASS_DIR=${WEFT_CUTLASS_DIR} has no include/cutlass/cutlass.h")
  endif()
endif()

# cuDNN's headers, with the toolkit or the system's, and those of its frontend, which launch/install_dependencies.sh --cuda puts
# where they are found: attention (tensor/kernels/cuda/cudnn). The library is opened when it is used.
set(WEFT_CUDNN_FRONTEND_DIR "" CACHE PATH
  "cuDNN's frontend 1.x: the folder that has include/cudnn_frontend.h, or an installed PyPI package of it")
set(WEFT_HAS_CUDNN OFF)
if(WEFT_HAS_CUDA)
  find_path(WEFT_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_path(WEFT_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h NO_DEFAULT_PATH
    HINTS ${WEFT_CUDNN_FRONTEND_DIR} ${CMAKE_SOURCE_DIR}/build/cudnn_frontend PATH_SUFFIXES include)
  if(WEFT_CUDNN_FRONTEND_DIR AND NOT WEFT_CUDNN_FRONTEND_INCLUDE)
    message(FATAL_ERROR "WEFT_CUDNN_FRONTEND_DIR=${WEFT_CUDNN_FRONTEND_DIR} has no include/cudnn_frontend.h")
  endif()
  if(WEFT_CUDNN_INCLUDE AND WEFT_CUDNN_FRONTEND_INCLUDE)
    set(WEFT_HAS_CUDNN ON)
  endif()
endif()
