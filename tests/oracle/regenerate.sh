#!/bin/sh
# Runs the oracle anew and holds the committed fixtures against what it says.
#   tests/oracle/regenerate.sh            compares; exit code 77 when PyTorch is not installed
#   tests/oracle/regenerate.sh --update   replaces the committed fixtures
# Needs PyTorch 1.13 or newer and numpy; Debian's python3-torch and python3-numpy will do. PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-/usr/bin/python3}
export PYTHONDONTWRITEBYTECODE=1

if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
  echo "skipped: $python has no PyTorch (apt-get install --no-install-recommends python3-torch python3-numpy)"
  exit 77
fi
if [ "${1-}" = --update ]; then
  exec "$python" oracle.py write fixtures
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$python" oracle.py write "$fresh"
"$python" oracle.py compare "$fresh" fixtures
