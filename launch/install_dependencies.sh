#!/bin/bash
# Installs what Weft is built with, on Debian 12. Does nothing, in a blink, when all of it is there.
#
# usage: launch/install_dependencies.sh [--tests] [--cuda]
#   --tests   also what tests/run.sh needs: clang with its sanitizers and OpenMP, clang-format, clang-tidy, git, numpy, strace
#   --cuda    also what the CUDA device is built with beside NVIDIA's toolkit: headers of CUTLASS and of cuDNN's frontend, into
#             build/cutlass and build/cudnn_frontend
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  build-essential g++ cmake ninja-build ccache pkg-config
  libopenmpi-dev openmpi-bin
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  libabsl-dev libyaml-cpp-dev nlohmann-json3-dev
  libgtest-dev libgmock-dev
  libxxhash-dev
  libdnnl-dev ocl-icd-opencl-dev # Debian's oneDNN is not found without the OpenCL loader
  python3
)
test_packages=(clang libclang-rt-dev libomp-dev clang-format clang-tidy git python3-numpy strace)

fail() {
  echo "install_dependencies: $*" >&2
  exit 1
}

cuda=false
for argument in "$@"; do
  case "$argument" in
    --tests) packages+=("${test_packages[@]}") ;;
    --cuda)
      cuda=true
      packages+=(python3-pip)
      ;;
    *) fail "unknown argument '$argument'; there are --tests and --cuda" ;;
  esac
done

command -v dpkg-query > /dev/null && command -v apt-get > /dev/null ||
  fail "this is not a Debian system; install the equivalents of: ${packages[*]}"

# missing_packages: the ones not installed, one a line. dpkg-query fails for names it does not know.
missing_packages() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) \
    <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2> /dev/null |
      sed -n 's/^ii *//p' | sort -u)
}

install_packages() {
  local -a missing as_root=() apt_options
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0

  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null ||
      fail "root is needed to install: ${missing[*]}
  as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    as_root=(sudo)
    # Without a terminal nobody could type a password.
    if [ ! -t 0 ]; then as_root+=(-n); fi
  fi

  echo "installing ${#missing[@]} packages: ${missing[*]}"
  apt_options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" update
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get "${apt_options[@]}" install -y --no-install-recommends "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] || fail "still missing after the installation: ${missing[*]}"
}

# install_headers PACKAGE WHERE HEADER WITHOUT: a Python package whose HEADER is wanted; nothing of Python's is needed. PEP 668 does not
# mind a --target. WITHOUT says how things go without it.
install_headers() {
  local package=$1 where=$2 header=$3 without=$4
  [ ! -f "$where/$header" ] || return 0
  echo "installing $package in $where"
  rm -rf "$where.part"
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$where.part" "$package" \
    > "$log" 2>&1 < /dev/null ||
    fail "$package could not be fetched from PyPI (without it $without): $(tail -n 1 "$log")"
  rm -rf "$where"
  mv "$where.part" "$where"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# quietly COMMAND...: shows its output only when it fails.
quietly() {
  "$@" > "$log" 2>&1 < /dev/stdin && return
  tail -n 20 "$log" >&2
  fail "'$*' failed; its last lines are above"
}

install_packages
if "$cuda"; then
  install_headers nvidia-cutlass==4.2.0.0 build/cutlass cutlass_library/source/include/cutlass/cutlass.h \
    "products of groups run one by one"
  install_headers nvidia-cudnn-frontend==1.32.0 build/cudnn_frontend include/cudnn_frontend.h "attention runs on ordinary cores"
fi
