#!/usr/bin/env bash
# Make the corpora of this recipe in the folders given: speech like IEMOCAP, noises like ESC-50 and MUSAN.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: bash local/make_data.sh" >&2; exit 2; }
set -euo pipefail
"$PYTHON" local/make_speech.py --out "$1"
"$PYTHON" local/make_noise.py --esc-dir "$2" --musan-dir "$3"
