#!/bin/bash
# Every test file is in the build: each *_test.cc under tests/ is compiled, each *_test.py and *_test.sh is registered.
#
# usage: tests/test_files_test.sh BUILD_DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: tests/test_files_test.sh BUILD_DIRECTORY}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "test_files_test: $*" >&2
  exit 1
}

commands=$build/compile_commands.json
[ -s "$commands" ] || fail "$commands is missing; configure with CMAKE_EXPORT_COMPILE_COMMANDS"

# forgotten ROOT: the test files under ROOT/tests that nothing builds or runs.
forgotten() {
  local file
  (cd "$1" && find tests -name '*_test.cc') | sort | while read -r file; do
    grep -qF "/$file\"" "$commands" || echo "$file"
  done
  (cd "$1" && find tests -name '*_test.py' -o -name '*_test.sh') | sort | while read -r file; do
    grep -rqF --include=CTestTestfile.cmake "/$file\"" "$build/tests" || echo "$file"
  done
}

mkdir -p "$work/tests/base"
touch "$work/tests/base/forgotten_test.cc" "$work/tests/forgotten_test.sh"
[ "$(forgotten "$work" | wc -l)" = 2 ] || fail "the search for forgotten files does not find them"
found=$(forgotten "$PWD")
[ -z "$found" ] || fail "not in any CMakeLists.txt:
$found"
