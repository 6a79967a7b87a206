"""docs/new_frontend.md says what is so: its class and its YAML files run as the page has them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tiny import CONFIG, RATE, hiss, speech_dir, write_wav

from trnet.bin import check_frontend, enhance
from trnet.config import load_config
from trnet.frontend import FRONTENDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/new_frontend.md").read_text(encoding="utf-8")
CLEAN, NOISY = "nemo", "nemo_esc_0db"
UTTS = [f"AO0_anger_{take}" for take in range(1, 17)]


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


def bursts(key: int) -> np.ndarray:
    """0.6 s of a tone that comes and goes, (samples,) float32."""
    time = np.arange(9600 + 10 * key) / RATE
    return (0.3 * np.sin(2 * np.pi * 700 * time) * (time % 0.3 < 0.15)).astype(np.float32)


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """A recipe's folder, in which we are, with conf/recipe.yaml and data dirs of 16 utterances, clean and at 0 dB."""
    clean = {utt: bursts(key) + hiss(key, 9600 + 10 * key, 1e-3) for key, utt in enumerate(UTTS)}
    noisy = {f"{u}-esc_0db": clean[u] + hiss(99 + key, len(clean[u]), 0.15) for key, u in enumerate(UTTS)}
    for name, clips in ((CLEAN, clean), (NOISY, noisy)):
        speech_dir(tmp_path / "data", name, clips)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/recipe.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_class_runs_from_the_recipes_folder_in_several_processes(recipe, forked_commands):
    (module,) = blocks("python")
    note_process = "import os\nimport pathlib\n\npathlib.Path(f'imported-by-{os.getpid()}').touch()\n"
    (recipe / "wiener.py").write_text(module + note_process)
    (recipe / "conf/wiener.yaml").write_text(next(text for text in blocks("yaml") if "wiener:Wiener" in text))
    sets = f"data/{CLEAN} data/{NOISY}"
    command = [sys.executable, "-m", "trnet.bin.enhance", "--config", "conf/wiener.yaml", "--sets", sets, "--nj", "2"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    assert len(list(recipe.glob("imported-by-*"))) > (1 if (os.cpu_count() or 1) > 1 else 0)
    errors = {"before": 0.0, "after": 0.0}
    for key, utt in enumerate(UTTS):
        file = f"{utt}-esc_0db.wav"
        before = soundfile.read(recipe / "data/downloads" / NOISY / file, dtype="float32")[0]
        after = soundfile.read(recipe / "dump/wiener.Wiener" / NOISY / "wav" / file, dtype="float32")[0]
        assert len(after) == len(before)
        for when, samples in (("before", before), ("after", after)):
            errors[when] += float(np.square(samples - bursts(key)).sum())
    assert errors["after"] < 0.5 * errors["before"]


def test_the_class_keeps_the_rules_by_the_command_of_the_page(recipe, monkeypatch, capsys):
    (recipe / "wiener.py").write_text(blocks("python")[0])
    (recipe / "conf/wiener.yaml").write_text(next(text for text in blocks("yaml") if "wiener:Wiener" in text))
    monkeypatch.syspath_prepend(recipe)
    command = re.search(r"^\$PYTHON -m trnet.bin.check_frontend (.*) --sets \"(.*)\"$", PAGE, re.MULTILINE)
    assert check_frontend.main([*command[1].split(), "--sets", command[2]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and all(line.startswith("ok ") for line in lines)


def test_audio_enhanced_elsewhere_is_taken_as_the_page_says(recipe):
    (recipe / "conf/own.yaml").write_text(next(text for text in blocks("yaml") if "enhanced_scp" in text))
    (listed,) = blocks("")
    made = {}
    for key, (line, scp) in enumerate(zip(listed.splitlines(), ("clean.scp", "esc.scp"), strict=True)):
        utt, path = line.split()
        made[utt] = hiss(key, 9600)
        write_wav(recipe / path, made[utt])
        (recipe / "elsewhere" / scp).write_text(line + "\n")
        speech_dir(recipe / "data", f"set{key}", {utt: hiss(7, 9600)})
    assert enhance.main(["--config", "conf/own.yaml", "--sets", "data/set0 data/set1"]) == 0
    for key, (utt, samples) in enumerate(made.items()):
        got = soundfile.read(recipe / f"dump/enhanced_scp/set{key}/wav/{utt}.wav", dtype="float32")[0]
        assert np.array_equal(got, samples)


def test_what_the_page_names_is_there(recipe):
    for number, text in enumerate(blocks("yaml")):
        (recipe / f"conf/{number}.yaml").write_text(text)
        config = load_config(recipe / f"conf/{number}.yaml")
        assert config.frontend in FRONTENDS or config.frontend == "wiener:Wiener"
    for path in re.findall(r"`((?:trnet|test)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path
    for toolkit in ("asteroid", "speechbrain", "espnet"):
        assert f"| `{toolkit}` |" in PAGE and toolkit in FRONTENDS
