#!/usr/bin/env bash
# CREMA-D (English, 91 actors, 4 of its 6 emotions), ESC-50 noise (matched) and MUSAN noise (unmatched).
#   ./run.sh --stage 0 --stop-stage 7 --corpus-dir DIR --esc-dir ESC-50 --musan-dir MUSAN --frontend-checkpoint FILE
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/ser1/ser.sh --corpus crema_d --noises "esc musan" "$@"
