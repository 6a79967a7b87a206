#!/usr/bin/env bash
# All measurements on a GPU that is at hand for minutes: utils/bench_gpu.sh BUDGET_SECONDS OUT [options], see --help.
# Tests marked gpu, speed of training, speed of CMGAN, and nEMO's table of the steady settings as far as there is time;
# at most 8 files in OUT. A later call takes up what this one left. The Python is $PYTHON, else python3.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./bench_gpu.sh or bash bench_gpu.sh" >&2; exit 2; }
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null || { echo "error: $PYTHON: no such Python; set PYTHON to one with PyTorch" >&2; exit 1; }
PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -m trnet.bench.gpu_command "$@"
