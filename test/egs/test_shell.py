"""The recipes' shell: what is wrong is one line before anything is done; blanks in folders work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lines import assert_names
from recipes import ROOT, copy_recipes

SOURCED = ("options.sh", "path.sh")
SCRIPTS = sorted(
    path
    for pattern in ("egs/*/run.sh", "egs/TEMPLATE/*.sh", "egs/TEMPLATE/*/*.sh", "egs/*/*/run.sh", "egs/*/*/local/*.sh")
    for path in ROOT.glob(pattern)
) + sorted(ROOT.glob("utils/*.sh"))
COMMANDS = [path for path in SCRIPTS if path.name not in SOURCED]


def shell(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """A command with this Python, unless `environment` says another."""
    env = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)


def line_of(done: subprocess.CompletedProcess) -> str:
    """The one line that a command that failed ended with."""
    lines = done.stderr.splitlines()
    assert done.returncode != 0 and len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


@pytest.fixture
def bare_python(tmp_path) -> str:
    """A Python without any package."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_another_shell_is_told_to_take_bash(script, tmp_path):
    dash = shutil.which("dash")
    if dash is None:
        pytest.skip("needs dash")
    done = shell(dash, script, "x", cwd=tmp_path)
    assert "bash" in line_of(done) and done.returncode == 2 and not done.stdout


def test_shellcheck_has_nothing_to_say():
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    done = shell("shellcheck", "-x", *SCRIPTS, ".ci/run", cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tag", "a b"], "--tag 'a b'"),
        (["--tag", "a/b"], "--tag 'a/b'"),
        (["--tag", "..", "--stage", "3"], "--tag '..'"),
        (["--tag", "--nj", "3"], "--tag --nj"),
        (["--corpus", "../x"], "--corpus '../x'"),
        (["--corpus", ""], "--corpus"),
        (["--nj", "0"], "--nj 0 1"),
        (["--nj", "-1"], "--nj -1"),
        (["--nj", "99999"], "--nj 99999 9999"),
        (["--ngpu", "\u0663"], "--ngpu \u0663"),
        (["--stage", "07"], "--stage 07 0 7"),
        (["--noises", ""], "--noises"),
        (["--noises", ","], "--noises"),
        (["--noises", "*"], "--noises *"),
        (["--noise-dirs", "../x=/y"], "--noise-dirs ../x=/y NAME=FOLDER"),
        (["--noise-dirs", "sea="], "--noise-dirs sea= NAME=FOLDER"),
        (["--peers", "probe.csv"], "--peers probe.csv NAME=CSV"),
        (["--peers", "a/b=probe.csv"], "--peers a/b=probe.csv NAME=CSV"),
        (["--peers", "probe=absent.csv"], "--peers probe=absent.csv"),
        (["--peers", "probe=/etc/passwd", "--test-corpus", "emodb"], "--peers --test-corpus"),
        (["--download", "yes"], "--download yes true false"),
        (["--noise-contracts", "0"], "--noise-contracts 0 true false"),
        (["--x\ty\x1b[1m", "3"], "--x?y?[1m"),
        (["--stage", "3", "--stop-stage", "3", "--config", "none.yaml"], "none.yaml"),
        (["--stage", "3", "--snrs", "-5,nan"], "--snrs 'nan'"),
        (["--stage", "3", "--frontend", "../../x:y"], "--frontend '../../x:y'"),
    ],
)
def test_what_is_wrong_with_an_option_is_one_line(tmp_path, options, message):
    done = shell("bash", ROOT / "egs/TEMPLATE/ser1/ser.sh", "--corpus", "nemo", *options, cwd=tmp_path)
    assert_names(line_of(done), message)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("data", "dump", "exp"))]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--tag", "a b"], "--tag 'a b'"), (["--stage", "4"], "--stage 4 0 3"), (["--nj", ""], "--nj")],
)
def test_the_other_template_too(tmp_path, options, message):
    done = shell("bash", ROOT / "egs/TEMPLATE/enh1/enh.sh", "--corpus", "noisy_sets", *options, cwd=tmp_path)
    assert_names(line_of(done), message)


@pytest.mark.parametrize("script", ["egs/nemo/ser1/run.sh", "egs/mini/ser1/run.sh", "egs/voicebank_demand/enh1/run.sh"])
def test_without_packages_the_recipe_names_the_way_to_get_them(tmp_path, bare_python, script):
    done = shell(ROOT / script, cwd=tmp_path, PYTHON=bare_python)
    assert f"make -C {ROOT}/tools" in line_of(done) and not done.stdout
    assert "--max-epochs" in shell(ROOT / script, "--help", cwd=tmp_path, PYTHON=bare_python).stdout


def test_without_packages_other_commands_name_it_too(tmp_path, bare_python):
    validate = ROOT / "utils/validate_data_dir.sh"
    assert f"make -C {ROOT}/tools" in line_of(shell(validate, "data", cwd=tmp_path, PYTHON=bare_python))
    assert "/no/python" in line_of(shell(validate, "data", cwd=tmp_path, PYTHON="/no/python"))
    done = shell(bare_python, "-m", "trnet.bin.validate_data_dir", "data", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert "configargparse" in line_of(done) and "make -C tools" in done.stderr


def test_folders_with_blanks(tmp_path):
    """The checkout, the corpus, noises of one's own: found in stage 0 and prepared in stage 1."""
    recipe = copy_recipes(tmp_path / "my check out") / "emodb/ser1"
    rng = np.random.default_rng(0)
    (tmp_path / "my check out/trnet").symlink_to(ROOT / "trnet")
    for name in ("my emo db/wav/03a01Wa", "my emo db/wav/03a01Na", "sea side/a wave", "my rain/drops"):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, 16000), 16000)
    options = ["--corpus-dir", tmp_path / "my emo db", "--noises", "sea rain", "--frontend", "none", "--nj", "1"]
    options += ["--noise-dirs", f"sea={tmp_path}/sea side rain={tmp_path}/my rain", "--contract", "none"]
    done = shell(recipe / "run.sh", *options, "--stop-stage", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (recipe / "data/noise_sea/wav.scp").read_text() == f"a_wave {tmp_path}/sea side/a wave.wav\n"
    assert "my emo db/wav/03a01Wa.wav" in (recipe / "data/emodb/wav.scp").read_text()
