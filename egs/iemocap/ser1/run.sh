#!/usr/bin/env bash
# IEMOCAP, the paper's experiment: 10 speakers, 4 classes, ESC-50 noise (matched) and MUSAN noise (unmatched).
#   ./run.sh --stage 0 --stop-stage 7 --corpus-dir IEMOCAP_full_release --esc-dir ESC-50 --musan-dir MUSAN \
#       --frontend-checkpoint FILE --seeds "1 2 3" --ngpu 1
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/ser1/ser.sh --corpus iemocap --noises "esc musan" --reference conf/paper_table1.csv "$@"
