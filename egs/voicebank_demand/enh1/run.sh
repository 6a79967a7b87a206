#!/usr/bin/env bash
# VoiceBank+DEMAND, 28 speakers: the corpus that CMGAN and DPT-FSNet were published on.
#   ./run.sh --corpus-dir DS_10283_2791 --ngpu 1
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/enh1/enh.sh --corpus voicebank_demand "$@"
