#!/bin/bash
# Every third-party package is included from its door and nowhere else (docs/architecture.md, "Who may link whom").
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "doors_test: $*" >&2
  exit 1
}

# package, its headers, the paths where they may be included (both extended regular expressions)
doors() {
  cat << 'TABLE'
MPI           mpi(-ext)?\.h                       (comm/mpi|launch/bootstrap|bench/simgrid)
oneDNN        (dnnl|oneapi)[a-z_./]*              (tensor/kernels/cpu|bench)/
gRPC          grpc(pp)?/.*                        (proto|launch|tests/launch)/
protobuf      google/protobuf/.*                  (proto|launch|tests/launch)/
yaml-cpp      yaml-cpp/.*                         launch/config/
nlohmann-json nlohmann/.*                         (graph/[a-z_]*_io\.|runtime/(checkpoint|data|summary)|profiler/sinks/|launch/|tests/|bench/)
CUDA          (cuda|cublas|nccl|nvtx)[a-zA-Z_0-9./]* (tensor/(device|kernels)/cuda|comm/nccl|tests/support/cuda_emulator)/
CUTLASS       (cutlass|cute)/.*                    tensor/kernels/cuda/cutlass/
cuDNN         cudnn[a-zA-Z_0-9./]*                 tensor/kernels/cuda/cudnn/
GoogleTest    (gtest|gmock)/.*                    tests/
TABLE
}

# strays ROOT: "package path:line:include" for every include outside its door.
strays() {
  local package headers places
  doors | while read -r package headers places; do
    (cd "$1" && find . -path ./build -prune -o \( -name '*.h' -o -name '*.cc' -o -name '*.cu' \) -print0 |
      xargs -0 -r grep -nHE "^ *#include [<\"]${headers}[>\"]" | sed 's|^\./||' |
      grep -vE "^$places" | sed "s|^|$package |" || true)
  done
}

# One include of each package where it may not be, and one of MPI where it may.
mkdir -p "$work/scheduler" "$work/comm/mpi"
cat > "$work/scheduler/bad.cc" << 'CODE'
#include <mpi.h>
#include <dnnl.hpp>
#include <grpcpp/grpcpp.h>
#include <google/protobuf/message.h>
#include "yaml-cpp/yaml.h"
#include <nlohmann/json.hpp>
#include <cuda_runtime.h>
#include "cutlass/cutlass.h"
#include <cudnn_frontend.h>
#include "gtest/gtest.h"
CODE
echo '#include <mpi.h>' > "$work/comm/mpi/good.cc"
[ "$(strays "$work" | wc -l)" = "$(doors | wc -l)" ] || fail "the search finds: $(strays "$work")"
found=$(strays .)
[ -z "$found" ] || fail "included outside its door:
$found"
