"""docs/new_corpus.md followed to the letter: its files, in a copy of the tree, on a corpus that lies as it says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from started_python import python
from tiny import hiss, write_wav

from trnet.kaldi.data_dir import DataDir

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/new_corpus.md").read_text(encoding="utf-8")
EMOTIONS = ("joy", "rage", "calm", "grief", "awe")
SPEAKERS = ("F01", "F02", "M03", "M04", "F05")


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


def files() -> dict[str, str]:
    """The files that the page has whole: a path in backquotes that starts a line, then a block."""
    found = re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return dict(found)


def register(package: Path) -> None:
    """Step 2: the line of the import among the imports, that of the dict in SPEECH."""
    init = package / "corpora/__init__.py"
    lines = init.read_text(encoding="utf-8").splitlines(keepends=True)
    line, entry = (text for text in blocks("python") if "AHOY" in text and text.count("\n") == 1)
    lines.insert(next(i for i, text in enumerate(lines) if text.startswith("from ")), line)
    lines.insert(next(i for i, text in enumerate(lines) if text.startswith("SPEECH")) + 1, entry)
    init.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout after steps 1 to 3, with the corpus and some noises in the recipe's downloads."""
    ignore = shutil.ignore_patterns("__pycache__", "downloads", "data", "dump", "exp")
    shutil.copytree(ROOT / "trnet", tmp_path / "trnet", ignore=ignore)
    shutil.copytree(ROOT / "egs/TEMPLATE", tmp_path / "egs/TEMPLATE", ignore=ignore)
    for name, text in files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "egs/ahoy/ser1/run.sh").chmod(0o755)
    register(tmp_path / "trnet")
    downloads = tmp_path / "egs/ahoy/ser1/downloads"
    for key, (speaker, emotion) in enumerate((s, e) for s in SPEAKERS for e in EMOTIONS):
        write_wav(downloads / f"ahoy/{speaker}/{speaker}_{emotion}_007.wav", hiss(key, 3000))
    (downloads / "ahoy/sentences.csv").write_text("id;text\nF01_joy_007;Land, ho!\n")
    for key in range(6):
        write_wav(downloads / f"noises/n{key}.wav", hiss(100 + key, 4000))
    return tmp_path


@pytest.mark.recipe
def test_the_page_from_its_first_step_to_its_last(checkout):
    *_, count, run = blocks("bash")
    script = "set -euo pipefail\n" + count + run
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PYTHON": str(python()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    recipe = checkout / "egs/ahoy/ser1"
    contract = yaml.safe_load((recipe / "conf/contract.yaml").read_text())
    assert contract == {speaker: {"ang": 1, "hap": 1, "neu": 1, "sad": 1} for speaker in SPEAKERS}
    data = DataDir(recipe / "data/ahoy")
    assert len(data.utts) == 20 and data["text"]["F01_joy_007"] == "Land, ho!"
    assert data["spk2gender"] == {speaker: speaker[0].lower() for speaker in SPEAKERS}
    assert "stage 2: noisy sets" in done.stdout
    assert len(DataDir(recipe / "data/ahoy_harbour_0db").utts) == 20


def test_what_the_page_names_is_there():
    for path in re.findall(r"`((?:trnet|test)/[\w/.]+)`", PAGE):
        assert path == "trnet/corpora/ahoy.py" or (ROOT / path).exists(), path
    assert len(files()) == 4
