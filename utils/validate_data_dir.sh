#!/usr/bin/env bash
# Hold data directories to Kaldi's rules: utils/validate_data_dir.sh [--noise | --pairs] [--no-text] DIR...
# Relative paths in wav.scp start in the data directory, or where nothing is there, in the current folder.
# The Python is $PYTHON, else tools/venv's, else python3.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./validate_data_dir.sh or bash validate_data_dir.sh" >&2; exit 2; }
set -euo pipefail
# shellcheck source=egs/TEMPLATE/ser1/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../egs/TEMPLATE/ser1/path.sh"
check_python
exec "$PYTHON" -m trnet.bin.validate_data_dir "$@"
