#!/usr/bin/env bash
# Hold data directories to Kaldi's rules: utils/validate_data_dir.sh [--noise] [--no-text] DIR...
# The Python is $PYTHON, else that of tools/venv.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/tools/venv/bin/python}
if ! command -v "$python" >/dev/null; then
  echo "error: $python: no such Python; run 'make -C tools', or set PYTHON" >&2
  exit 1
fi
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m trnet.bin.validate_data_dir "$@"
