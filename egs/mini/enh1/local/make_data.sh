#!/usr/bin/env bash
# Let the ser1 recipe given make its noisy sets, its stages 0 to 2.
set -euo pipefail
"$1/run.sh" --stage 0 --stop-stage 2 --frontend none --nj "$2"
