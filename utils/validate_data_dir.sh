#!/usr/bin/env bash
# Hold data directories to Kaldi's rules: utils/validate_data_dir.sh [--noise | --pairs] [--no-text] DIR...
# Relative paths in wav.scp are taken from the current folder. The Python is $PYTHON, else tools/venv's, else python3.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../egs/TEMPLATE/ser1/path.sh"
exec "$PYTHON" -m trnet.bin.validate_data_dir "$@"
