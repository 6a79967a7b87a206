#!/usr/bin/env bash
# MSP-Podcast (English, 4 of its emotions), ESC-50 noise (matched) and MUSAN noise (unmatched). Each release has other
# counts: --contract conf/contract_1.11.yaml holds a copy against release 1.11. Fold 1 is tested on Test1, fold 2 on Test2.
#   ./run.sh --stage 0 --stop-stage 7 --corpus-dir DIR --esc-dir ESC-50 --musan-dir MUSAN --frontend-checkpoint FILE
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/ser1/ser.sh --corpus msp_podcast --noises "esc musan" --folds 1 "$@"
