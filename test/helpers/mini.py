"""The mini recipe from audio to results, with fewer utterances, systems, SNRs and epochs, to be done sooner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from recipes import copy_recipes, run, start

SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet")  # the ablations are trnet's with other weights
SNRS = ("10", "0")
FEWER = ("--snrs", " ".join(SNRS), "--systems", " ".join(SYSTEMS), "--max-epochs", "5")
SIZE = "5"  # utterances per speaker and class, about
RECIPE = "egs/mini/ser1"


def make_mini(root: Path, corpora: Path) -> None:
    """All its stages in a copy of the recipes below `root`, with Ctrl-C in stage 3 and in stage 6 on the way.

    Several processes, each of which takes seconds to start, are at work when Ctrl-C comes and in stage 7 alone.

    Args:
        corpora: What its stage 0 made.
    """
    copy_recipes(root)
    recipe = root / RECIPE
    for name in ("esc", "musan"):
        shutil.copytree(corpora / name, recipe / "downloads" / name)
    make_fewer_utterances(recipe)
    interrupt(recipe, "dump/nsnet2/mini/wav/*.wav", *FEWER)
    run(recipe, "--stage", "3", "--stop-stage", "5", "--nj", "1", *FEWER)
    interrupt(recipe, "exp/raw/baseline_n/*/last.pt", "--stage", "6", *FEWER)
    assert not list(recipe.glob("exp/nsnet2/trnet/*/best.pt"))  # or nothing was interrupted
    run(recipe, "--stage", "6", "--stop-stage", "6", "--nj", "1", *FEWER)
    run(recipe, "--stage", "7", *FEWER)


def make_fewer_utterances(recipe: Path) -> None:
    """Have the recipe make, and expect, about half of its corpus."""
    script, size = recipe / "local/make_data.sh", ("--utts-per-emotion", SIZE)
    whole = script.read_text()
    script.write_text(whole.replace('make_speech.py --out "$1"', 'make_speech.py --out "$1" ' + " ".join(size)))
    assert script.read_text() != whole
    command = [sys.executable, "local/make_speech.py", "--out", "downloads/mini", *size]
    counts = subprocess.run(command, cwd=recipe, check=True, capture_output=True, text=True).stdout
    (recipe / "conf/contract.yaml").write_text(counts)


def interrupt(recipe: Path, begun: str, *options: str) -> None:
    """Press Ctrl-C once a file matches the pattern `begun`: a message, and nothing half done is left."""
    process = start(recipe, *options)
    lines = []
    for line in process.stdout:  # the steps of progress bars are lines too
        lines.append(line)
        if any(recipe.glob(begun)):
            break
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    output = "".join(lines) + rest
    assert process.returncode == 130, output[-2000:]
    assert "run the same command again" in output and "Traceback" not in output
    assert not [path for path in recipe.rglob("*") if ".partial" in path.name]
