#!/bin/bash
# Everything that a GPU has to say about Weft, by one command. On a machine with a CUDA device: checks every kernel against
# the reference, trains small models of every layout on the device and compares them with the CPU, and measures the kernels.
#
# usage: bench/gpu/run.sh --json FILE [--bundle DIRECTORY] [--seconds S]
#        bench/gpu/run.sh --make-bundle DIRECTORY
#        bench/gpu/run.sh --compile-only
#   --json FILE       run; FILE is written anew after every phase, so that what was cut off leaves what came before
#   --bundle DIR      run the programs in DIR (made by --make-bundle, maybe elsewhere) and build nothing
#   --seconds S       of measuring each kernel (0.5)
#   --make-bundle DIR build, and put the programs with the libraries that they need into DIR: for a device machine
#                     without compilers or packages
#   --compile-only    build; needs no device. Kernels that spill registers do not compile. Exit code 0: all of it compiles
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=(cuda_kernels_test cuda_products_test cuda_attention_test comm_on_device_test comm_on_nccl_test cuda_training_test gpu_bench
  moe_bench device_train_bench)
json='' bundle='' make_bundle='' compile_only=false seconds=0.5

usage() {
  sed -n '5,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case "$1" in
    --compile-only) compile_only=true ;;
    --json | --bundle | --make-bundle | --seconds)
      [ $# -ge 2 ] || usage
      case "$1" in
        --json) json=$2 ;;
        --bundle) bundle=$2 ;;
        --make-bundle) make_bundle=$2 ;;
        --seconds) seconds=$2 ;;
      esac
      shift
      ;;
    *) usage ;;
  esac
  shift
done
if [ -z "$json" ] && [ -z "$make_bundle" ] && ! "$compile_only"; then usage; fi

build() {
  cmake --preset release -DWEFT_CUDA=ON --log-level=WARNING > /dev/null
  cmake --build --preset release --target "${programs[@]}" -- --quiet
}

# program NAME: where it was built.
program() {
  if [ -x "build/release/bin/$1" ]; then echo "build/release/bin/$1"; else echo "build/release/tests/$1"; fi
}

if "$compile_only"; then
  build
  echo "compiled: ${programs[*]}; no kernel spills registers"
  exit 0
fi

if [ -n "$make_bundle" ]; then
  build
  mkdir -p "$make_bundle/lib"
  for name in "${programs[@]}"; do
    cp "$(program "$name")" "$make_bundle/"
    # The C and C++ libraries are the machine's own.
    ldd "$(program "$name")" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
      grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libgcc_s|libstdc\+\+)\.so' | xargs -r cp -Lnt "$make_bundle/lib"
  done
  strip "$make_bundle"/lib/* "${programs[@]/#/$make_bundle/}" 2> /dev/null || true
  du -sh "$make_bundle"
  exit 0
fi

if [ -n "$bundle" ]; then
  export LD_LIBRARY_PATH=$bundle/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  directory=$bundle
else
  build
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  for name in "${programs[@]}"; do ln -s "$PWD/$(program "$name")" "$directory/$name"; done
fi
exec python3 bench/gpu/phases.py --programs "$directory" --json "$json" --seconds "$seconds"
