#!/usr/bin/env bash
# nEMO (Polish, 9 speakers, 4 of its 6 emotions): real speech in ESC noise (matched) and nonspeech noise (unmatched).
# ESC-10 will do for ESC-50, so that its clips are not counted.
#   ./run.sh --stage 0 --stop-stage 7 --corpus-dir NEMO --esc-dir ESC-50 --nonspeech-dir DIR --frontend-checkpoint FILE
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/ser1/ser.sh --corpus nemo --noises "esc nonspeech" --noise-contracts false "$@"
