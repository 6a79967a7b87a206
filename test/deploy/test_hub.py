"""Models in folders and on the hub, the hub's client being one of our own making."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from tiny import RATE, tone, write_wav

import trnet
from trnet.bin import predict, push
from trnet.deploy import hub
from trnet.deploy.model_file import read_model
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


ROOT = Path(__file__).parents[2]


class Hub:
    """The part of huggingface_hub that is used, over a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, []
        self.HfApi = lambda: self
        self.CommitOperationAdd = SimpleNamespace

    def create_repo(self, repo, private, exist_ok):
        self.made.append((repo, private, exist_ok))
        (self.root / repo).mkdir(parents=True, exist_ok=True)

    def create_commit(self, repo, operations, commit_message, revision):
        assert commit_message and operations
        for add in operations:
            (self.root / repo / add.path_in_repo).write_bytes(add.path_or_fileobj)
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo}/commit/1")

    def hf_hub_download(self, repo, filename, revision=None):
        self.made.append((repo, filename, revision))
        if not (self.root / repo / filename).is_file():
            raise FileNotFoundError(f"404\nno {repo}")
        return str(self.root / repo / filename)


@pytest.fixture
def our_hub(tmp_path, monkeypatch) -> Hub:
    made = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    return made


def test_a_model_goes_into_a_folder_with_its_card_and_comes_back(model, tmp_path, capfd):
    folder = tmp_path / "folder"
    assert push.main([str(model), str(folder), "--license", "cc-by-4.0"]) == 0
    assert (folder / "trnet.zip").read_bytes() == model.read_bytes()
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-4.0" and head["library_name"] == "trnet"
    assert (
        "Trained on tiny (fold 1, seed 1" in card
        and "| esc | 10 | 8 | 37.5 % | 25.0 % |" in card
        and "ang, hap, neu, sad" in card
    )
    wav = tone("ang", 1, 9000)
    ours = trnet.Predictor.from_pretrained(folder)(wav, RATE)
    assert ours == trnet.Predictor.from_pretrained(model)(wav, RATE)


def test_push_overwrites_what_it_wrote_and_nothing_else(model, tmp_path, fails, monkeypatch):
    folder = tmp_path / "folder"
    for license_id in ("cc-by-4.0", "mit"):  # again with another licence: its own card is replaced
        assert push.main([str(model), str(folder), "--license", license_id]) == 0
    card = folder / "README.md"
    assert "license: mit" in card.read_text()
    for changed in (card.read_text().replace("Trained on", "We trained it on"), "# My notes\n", ""):
        card.write_text(changed)
        said = fails(push.main, [str(model), str(folder)])
        assert f"{card}: exists" in said and "--overwrite" in said and card.read_text() == changed
    assert push.main([str(model), str(folder), "--overwrite"]) == 0 and "Trained on" in card.read_text()
    (folder / "trnet.zip").write_text("mine")
    assert f"{folder}/trnet.zip: exists" in fails(push.main, [str(model), str(folder)])
    (folder / "trnet.zip").unlink()
    (folder / "trnet.zip").symlink_to(tmp_path / "elsewhere.zip")
    assert f"{folder}/trnet.zip: exists" in fails(push.main, [str(model), str(folder)])
    (folder / "trnet.zip").unlink()
    (folder / "more.txt").write_text("mine")  # which is in nobody's way
    assert push.main([str(model), str(folder)]) == 0 and (folder / "more.txt").read_text() == "mine"
    monkeypatch.chdir(folder)
    assert ".: is the working directory, which holds more.txt" in fails(push.main, [str(model), "."])


@pytest.mark.parametrize("where", ["", " ", "file"])
def test_what_is_no_folder_is_refused(model, tmp_path, fails, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    said = fails(push.main, [str(model), where])
    assert ("is empty" if not where.strip() else "file: is a file") in said
    assert [path.name for path in Path().iterdir()] == ["file"] and Path("file").read_text() == "mine"


def test_a_model_goes_to_the_hub_and_comes_back(model, tmp_path, our_hub, capfd):
    assert push.main([str(model), "hf://org/name", "--private"]) == 0
    assert "https://huggingface.co/org/name/commit/1" in capfd.readouterr().out
    assert our_hub.made == [("org/name", True, True)]
    assert "trnet-predict hf://org/name speech.wav" in (our_hub.root / "org/name/README.md").read_text()
    found = hub.read_pretrained("hf://org/name@v1")
    assert our_hub.made[-1] == ("org/name", "trnet.zip", "v1") and found.about == read_model(model).about
    file = write_wav(tmp_path / "a.wav", np.asarray(tone("ang", 1, 9000)))
    assert predict.main(["hf://org/name", file]) == 0
    assert trnet.Predictor.from_pretrained("hf://org/name").classes == ("ang", "hap", "neu", "sad")


@pytest.mark.parametrize("where", ["hf://name", "hf://", "hf://a/b/c", "hf:///b"])
def test_a_name_that_is_no_repository_is_refused(where, our_hub):
    with pytest.raises(TrnetError, match="hf://org/name"):
        hub.locate(where)


def test_what_the_hub_refuses_is_one_line(our_hub, tmp_path, model, monkeypatch):
    with pytest.raises(TrnetError, match="hf://org/none: .*FileNotFoundError: 404 no org/none"):
        hub.locate("hf://org/none")
    monkeypatch.setattr(our_hub, "create_repo", lambda *args, **options: 1 / 0)
    with pytest.raises(TrnetError, match="hf://org/name: .*ZeroDivisionError"):
        hub.push(read_model(model), "hf://org/name")
    with pytest.raises(TrnetError, match=r"trnet\.zip"):
        hub.locate(tmp_path)


@pytest.mark.parametrize("about", [{"scores": [{"noise": "esc"}]}, {"scores": 3}, {"valid_uar": "high"}])
def test_a_card_of_what_is_damaged_is_refused(model, tmp_path, about):
    model = replace(read_model(model), about=about)
    with pytest.raises(TrnetError, match=r"about\.json"):
        hub.push(model, str(tmp_path / "folder"))
    assert not (tmp_path / "folder").exists()


def test_the_real_client_has_what_is_called():
    client = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub: pip install 'trnet[hub]'")
    import inspect

    for function, options in (
        (client.hf_hub_download, {"repo_id", "filename", "revision"}),
        (client.HfApi.create_repo, {"repo_id", "private", "exist_ok"}),
        (client.HfApi.create_commit, {"repo_id", "operations", "commit_message", "revision"}),
        (client.CommitOperationAdd, {"path_in_repo", "path_or_fileobj"}),
    ):
        assert options <= set(inspect.signature(function).parameters)


def test_the_real_client_says_nothing_of_each_new_try():
    pytest.importorskip("huggingface_hub")
    asks = "from trnet.deploy.model_path import load_hub; load_hub().HfApi; import logging; "
    asks += "print(logging.getLogger('huggingface_hub').level)"
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_VERBOSITY"}
    done = subprocess.run([sys.executable, "-c", asks], env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == [str(logging.ERROR)], done.stderr


def test_a_missing_client_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TrnetError, match="huggingface_hub"):
        hub.locate("hf://org/name")
