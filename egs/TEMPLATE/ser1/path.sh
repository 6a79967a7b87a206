# shellcheck shell=bash
# Sourced by recipes: which Python runs trnet. PYTHON=/path/to/python overrides; else tools/venv; else the current one.
TRNET_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export TRNET_ROOT
if [ -z "${PYTHON:-}" ]; then
    if [ -x "$TRNET_ROOT/tools/venv/bin/python" ]; then
        PYTHON=$TRNET_ROOT/tools/venv/bin/python
    else
        PYTHON=python3
    fi
fi
export PYTHON
export PYTHONPATH="$TRNET_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8

# End with one line where that Python cannot run trnet. Called once the options are known, as --help does without.
check_python() {
    local mend="run 'make -C $TRNET_ROOT/tools', or set PYTHON to one that has what trnet requires"
    if ! command -v "$PYTHON" >/dev/null; then
        echo "error: $PYTHON: no such Python; $mend" >&2
        exit 1
    fi
    "$PYTHON" -c 'import sys; from importlib.util import find_spec
sys.exit(sys.version_info < (3, 11) or not all(map(find_spec, ["configargparse", "numpy", "torch", "yaml"])))' 2>/dev/null || {
        echo "error: $PYTHON: is older than 3.11, or lacks configargparse, PyTorch or another package; $mend" >&2
        exit 1
    }
}
