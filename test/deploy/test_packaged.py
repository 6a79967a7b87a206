"""``trnet-predict my.wav``: the model in the package answers, its card's first line on standard error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from model_files import CLASSES, make_model
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny import RATE, tone, write_wav

import trnet
from trnet.bin import demo, predict
from trnet.deploy import packaged
from trnet.deploy.model_file import read_model

ROOT = Path(__file__).parents[2]
LINE = "A model of tests, for nobody's decisions"
BUILT = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A packaged model, untrained, and its card; not to be changed."""
    made = tmp_path_factory.mktemp("models")
    make_model(made / packaged.FILE, graphs=True)
    (made / packaged.CARD).write_text(f"# {LINE}\n\nWhat it is.\n")
    return made


@pytest.fixture
def installed(folder, monkeypatch) -> Path:
    """The package has that model."""
    monkeypatch.setattr(packaged, "FOLDER", folder)
    return folder


@pytest.fixture
def wav(tmp_path) -> str:
    return write_wav(tmp_path / "my.wav", tone("ang", 1, 9000))


def test_without_a_model_named_the_packaged_one_answers(installed, wav, run_predict):
    status, out, err = run_predict(wav, wav, "--format", "jsonl")
    assert status == 0
    first, second = map(json.loads, out.splitlines())
    assert first["file"] == wav and first["emotion"] in CLASSES and first == second
    assert err.count(LINE) == 1 and "#" not in err.partition(LINE)[0]
    status, named, err = run_predict(installed / packaged.FILE, wav, "--format", "jsonl")
    assert status == 0 and named.splitlines()[0] == out.splitlines()[0] and LINE not in err


def test_a_folder_of_audio_is_audio_and_no_line_comes_before_an_answer(installed, wav, tmp_path, run_predict):
    status, out, err = run_predict(tmp_path, "--format", "csv")
    assert status == 0 and len(out.splitlines()) == 2 and LINE in err
    (tmp_path / "my.wav").write_text("no audio")
    for style in ("jsonl", "table"):
        status, out, err = run_predict(wav, "--format", style)
        assert status == 1 and not out and LINE not in err and "my.wav" in err


@pytest.mark.parametrize("name", ["exp/trnet_fold1_seed1", "empty"])
def test_a_first_argument_that_is_neither_model_nor_audio_stops_before_another_model_answers(
    installed, wav, tmp_path, run_predict, name
):
    (tmp_path / "empty").mkdir()
    status, out, err = run_predict(tmp_path / name, wav)
    assert status == 1 and not out and f"{name}: is neither a model nor audio" in err and LINE not in err
    status, out, err = run_predict(tmp_path / "gone.wav", wav, "--format", "jsonl")
    assert status == 1 and json.loads(out)["file"] == wav and "gone.wav" in err  # audio that is not there


def test_what_the_first_argument_is(tmp_path):
    for name in ("readme", "card", "zip", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme/README.md").write_text("Recordings of birds")
    (tmp_path / "card/README.md").write_text("---\nlibrary_name: trnet\n---\n")
    (tmp_path / "zip/trnet.zip").write_bytes(b"")
    models = ["any.zip", "hf://a/b", str(tmp_path / "card"), str(tmp_path / "zip")]
    audio = ["any.wav", "-", "wav.scp", str(tmp_path / "readme"), str(tmp_path / "empty"), "zip", "\0"]
    assert [name for name in (*models, *audio) if predict.names_model(name)] == models


def test_without_any_argument_it_says_what_to_name(fails):
    assert "name audio, or a model and audio" in fails(predict.main, [])


def test_the_demo_takes_it_too(installed, monkeypatch):
    shown = {}

    class Page:
        def launch(self, **options):
            shown.update(options)

    def make_page(predictor, name):
        shown.update(model=predictor.model.path, name=name)
        return Page()

    monkeypatch.setattr("trnet.deploy.demo.make_demo", make_page)
    assert demo.main(["--port", "7861"]) == 0
    assert (shown["model"], shown["name"], shown["server_port"]) == (installed / packaged.FILE, packaged.FILE, 7861)


def test_from_python(installed, wav):
    ours = trnet.Predictor.from_pretrained()
    assert ours.model.path == installed / packaged.FILE
    assert ours(tone("ang", 1, 9000), RATE).emotion in CLASSES


def test_a_checkout_without_a_model_says_how_to_make_one(tmp_path, monkeypatch, wav, fails):
    monkeypatch.setattr(packaged, "FOLDER", tmp_path / "models")
    line = fails(predict.main, [wav])
    assert packaged.RECIPE in line and "before the audio" in line
    assert (ROOT / packaged.RECIPE).is_file()


def test_a_missing_card_is_named(folder, tmp_path, monkeypatch, wav, fails):
    shutil.copy(folder / packaged.FILE, tmp_path)
    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    assert packaged.CARD in fails(predict.main, [wav])


def environment(*paths: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


def required(site: Path) -> set[str]:
    """Names of the distributions that pip installs with the one there, without extras."""
    (info,) = site.glob("trnet-*.dist-info")
    found, todo = set(), [metadata.PathDistribution(info)]
    while todo:
        for line in todo.pop().requires or ():
            each = Requirement(line)
            name = canonicalize_name(each.name)
            if name in found or (each.marker and not each.marker.evaluate({"extra": ""})):
                continue
            found.add(name)
            todo.append(metadata.distribution(name))
    return found


HIDE = """
import sys
from importlib.machinery import PathFinder


class Required(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden} else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Required
"""


@pytest.fixture(scope="session")
def no_others(from_wheel, tmp_path_factory) -> Path:
    """A folder for Python's path with which there is nothing that the wheel does not require."""
    wanted, path = required(from_wheel), tmp_path_factory.mktemp("hide")
    of = metadata.packages_distributions()
    hidden = {name for name, owners in of.items() if wanted.isdisjoint(map(canonicalize_name, owners))} - {"trnet"}
    (path / "sitecustomize.py").write_text(HIDE.format(hidden=sorted(hidden)))
    return path


@pytest.fixture(scope="session")
def from_wheel(tmp_path_factory) -> Path:
    """What a wheel of this checkout installs, and nothing else of it; made in a copy, as it leaves files behind."""
    root = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "trnet", root / "source/trnet", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT:
        shutil.copy(ROOT / name, root / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-deps", "-w", root, root / "source"]
    made = subprocess.run(build, capture_output=True, text=True)
    if made.returncode and "No matching distribution" in made.stderr:
        pytest.skip("needs setuptools, which builds the wheel, from a package index")
    assert made.returncode == 0, made.stderr
    (wheel,) = root.glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", root / "site", wheel], check=True)
    return root / "site"


@pytest.mark.slow
def test_a_wheel_carries_the_model_and_answers_with_what_it_requires_alone(from_wheel, no_others, wav, tmp_path):
    def run(*args: str) -> subprocess.CompletedProcess:
        there = environment(from_wheel, no_others)
        return subprocess.run([sys.executable, *args], cwd=tmp_path, env=there, capture_output=True, text=True)

    for name in (packaged.FILE, packaged.CARD):
        assert (from_wheel / "trnet/models" / name).read_bytes() == (packaged.FOLDER / name).read_bytes()
    assert "No module named 'pytest'" in run("-c", "import torch, pytest").stderr
    done = run("-m", "trnet.bin.predict", wav, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["emotion"] in CLASSES and packaged.card_line() in done.stderr
    found = run("-c", "import trnet; print(trnet.__file__)").stdout
    assert Path(found.strip()) == from_wheel / "trnet/__init__.py"


def test_the_model_of_this_checkout(wav, run_predict):
    path = packaged.FOLDER / packaged.FILE
    assert path.stat().st_size < 10_000_000
    model = read_model(path)
    assert model.settings.temperature and model.classes == CLASSES and model.frontend_name == "gtcrn"
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith("# ") and "$" not in card and "MIT License" in card and "CC BY-NC-SA 4.0" in card
    status, out, err = run_predict(wav, "--format", "jsonl")
    assert status == 0 and json.loads(out)["emotion"] in CLASSES and packaged.card_line() in err
