#!/usr/bin/env bash
# Let the ser1 recipe given make its noisy sets, its stages 0 to 2.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: bash local/make_data.sh" >&2; exit 2; }
set -euo pipefail
[ -x "$1/run.sh" ] || { echo "error: $1: is no recipe that makes noisy sets; give one with --corpus-dir" >&2; exit 1; }
"$1/run.sh" --stage 0 --stop-stage 2 --frontend none --nj "$2"
