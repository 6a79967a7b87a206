#!/usr/bin/env bash
# Run the tests that compute as on other processors, one setting after the other: utils/test_settings.sh [pytest's options]
# PyTorch, oneDNN and MKL choose their code by the processor; each setting makes one of them take that of an older one.
# A line for each setting; what failed stands above it. The Python is $PYTHON, else tools/venv's, else python3.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./test_settings.sh or bash test_settings.sh" >&2; exit 2; }
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
[ -n "${PYTHON:-}" ] || { PYTHON=tools/venv/bin/python && [ -x "$PYTHON" ]; } || PYTHON=python3
[ $# -gt 0 ] || set -- -m "not recipe" test/{audio,bench,deploy,enh,eval,features,frontend,model,noise,runs,train,utils} test/test_*.py

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
for setting in "" ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=SSE41 \
    ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE OMP_NUM_THREADS=1 "OMP_NUM_THREADS=2 TRNET_TEST_THREADS=2"; do
    # shellcheck disable=SC2086 # several words
    env $setting PYTHONPATH="$ROOT" "$PYTHON" -m pytest -p no:cacheprovider "$@" >"$log" 2>&1 || status=1
    grep -E '^(FAILED|ERROR)' "$log" || true
    printf '%-42s %s\n' "${setting:-as it is}" "$(tail -n 1 "$log")"
done
exit "$status"
