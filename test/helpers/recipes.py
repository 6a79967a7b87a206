"""Running recipes in a copy of egs/, as a user would."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from started_python import python

ROOT = Path(__file__).parents[2]
SMALL = "base: recipe.yaml\nencoder: {channels: [4, 8]}\npooling: {attention: 4}\n"  # of a recipe's conf


def copy_recipes(root: Path) -> Path:
    """The folder egs/ of this checkout without what recipes write, below `root`."""
    ignore = shutil.ignore_patterns("downloads", "data", "dump", "exp", "__pycache__")
    return Path(shutil.copytree(ROOT / "egs", root / "egs", ignore=ignore))


def start(recipe: Path, *options: str, forked: bool = True) -> subprocess.Popen:
    """run.sh in a process group of its own, in which Ctrl-C works even where the caller ignores it.

    With one thread: other tests run at the same time, and threads that wait for each other then wait long.

    Args:
        recipe: Its folder.
        options: Of run.sh.
        forked: Its Python has imported PyTorch before; otherwise it is the one that runs the tests.
    """
    return subprocess.Popen(
        [recipe / "run.sh", *options],
        env=os.environ
        | {"PYTHON": str(python() if forked else sys.executable), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(recipe: Path, *options: str, status: int = 0) -> str:
    """What run.sh printed; it must have ended with `status`."""
    process = start(recipe, *options)
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == status, output[-3000:]
    return output
