#!/bin/bash
# Installs what Weft is built with, on Debian 12. Does nothing, in a blink, when all of it is there.
#
# usage: launch/install_dependencies.sh [--tests]
#   --tests   also what tests/run.sh needs: clang, clang-format, clang-tidy, git, numpy, strace
set -euo pipefail

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
test_packages=(clang clang-format clang-tidy git python3-numpy strace)

fail() {
  echo "install_dependencies: $*" >&2
  exit 1
}

case "${1-}" in
  "") ;;
  --tests) packages+=("${test_packages[@]}") ;;
  *) fail "unknown argument '$1'; the only one is --tests" ;;
esac

command -v dpkg-query > /dev/null && command -v apt-get > /dev/null ||
  fail "this is not a Debian system; install the equivalents of: ${packages[*]}"

# missing_packages: the ones not installed, one a line. dpkg-query fails for names it does not know.
missing_packages() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) \
    <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2> /dev/null |
      sed -n 's/^ii *//p' | sort -u)
}

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null ||
    fail "root is needed to install: ${missing[*]}
  as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  as_root=(sudo)
  # Without a terminal nobody could type a password.
  if [ ! -t 0 ]; then as_root+=(-n); fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# quietly COMMAND...: shows its output only when it fails.
quietly() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" > "$log" 2>&1 < /dev/stdin && return
  tail -n 20 "$log" >&2
  fail "'$*' failed; its last lines are above"
}

echo "installing ${#missing[@]} packages: ${missing[*]}"
apt_options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
quietly apt-get "${apt_options[@]}" update
quietly apt-get "${apt_options[@]}" install -y --no-install-recommends "${missing[@]}"
mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -eq 0 ] || fail "still missing after the installation: ${missing[*]}"
