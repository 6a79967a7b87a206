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
if ! command -v "$PYTHON" >/dev/null; then
    echo "error: $PYTHON: no such Python; run 'make -C tools', or set PYTHON" >&2
    exit 1
fi
