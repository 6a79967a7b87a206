"""docs/reproduce.md: its commands, as far as they go without the licensed corpus."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from started_python import python

from trnet.frontend.cmgan import TscNet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    """run(line, options): one of the page's commands, of corpora and weights that lie as the page says."""
    for number in range(1, 6):
        (tmp_path / f"IEMOCAP_full_release/Session{number}/dialog/EmoEvaluation").mkdir(parents=True)
        (tmp_path / f"IEMOCAP_full_release/Session{number}/dialog/EmoEvaluation/Ses0{number}F_impro01.txt").touch()
    for folder in ("ESC-50/audio", "ESC-50/meta", "musan/noise/free-sound"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ESC-50/meta/esc50.csv").write_text("filename,fold,target,category,esc10,src_file,take\n")
    torch.save(TscNet(64).state_dict(), tmp_path / "ckpt")
    (setting,) = re.findall(r'^CMGAN=".*"$', PAGE, re.MULTILINE)

    def do(line: str, options: str) -> subprocess.CompletedProcess:
        script = f"{setting}\n{line.partition('#')[0]} {options}"
        for name in ("IEMOCAP_full_release", "ESC-50", "musan", "ckpt"):
            script = re.sub(rf"(?<= ){name}(?=[ \"\n]|$)", str(tmp_path / name), script)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT / "egs/iemocap/ser1",
            env={**os.environ, "PYTHON": str(python()), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return do


@pytest.mark.recipe
def test_the_setup_is_found_and_every_option_is_known(run):
    first, *others = re.findall(r"^\./run\.sh .*$", PAGE, re.MULTILINE)
    done = run(first, "--stop-stage 0")
    assert done.returncode == 0 and "front-end: cmgan" in done.stdout, done.stderr
    assert len(others) == 2
    for line in others:
        assert "$CMGAN" in line and "there are stages 0 to 7" in run(line, "--stop-stage 8").stderr  # past all options
