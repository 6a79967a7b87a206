"""Where compiled code is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AFTER_AN_OPTIMIZER = """
import torch
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]).state_dict()
import torch._inductor.codecache  # which names a temporary folder
from torch._inductor.runtime.cache_dir_utils import cache_dir
from trnet.utils.compiled import compile_cache
cache_dir()
compile_cache()
print(cache_dir())
"""


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
def test_compiled_code_is_kept_in_the_users_cache_or_where_they_say(tmp_path, own):
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_CACHE_DIR")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    if own:
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path / "own")
    done = subprocess.run(
        [sys.executable, "-c", AFTER_AN_OPTIMIZER], env=environment, capture_output=True, text=True, check=True
    )
    wanted = tmp_path / ("own" if own else "cache/trnet/inductor")
    assert Path(done.stdout.splitlines()[-1]) == wanted
