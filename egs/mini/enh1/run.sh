#!/usr/bin/env bash
# Pairs out of the noisy sets of ../ser1: speech of eSpeak NG and synthetic noises, made on the spot. No download; small
# networks, minutes each on one CPU core.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./run.sh or bash run.sh" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")"
exec ../../TEMPLATE/enh1/enh.sh --corpus noisy_sets --corpus-dir ../ser1 --test-utts 96 "$@"
