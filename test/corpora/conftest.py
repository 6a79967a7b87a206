"""What the corpus tests share: trees on disk and the label maps and contracts of the recipes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from iemocap_tree import small_corpus, whole_corpus, write_tree
from shared import shared

from trnet.corpora.labels import LabelMap, read_label_map
from trnet.kaldi.data_dir import Clip

EGS = Path(__file__).parents[2] / "egs"


@pytest.fixture(scope="session")
def conf():
    """conf("nemo", "labels.yaml") -> Path."""
    return lambda corpus, name: EGS / corpus / "ser1/conf" / name


@pytest.fixture
def iemocap_labels(conf) -> LabelMap:
    return read_label_map(conf("iemocap", "labels.yaml"))


@pytest.fixture(scope="session")
def whole_iemocap(tmp_path_factory) -> Path:
    """The folder above a full IEMOCAP_full_release; not to be changed."""
    root = tmp_path_factory.mktemp("whole")
    write_tree(root, whole_corpus())
    return root


@pytest.fixture
def small_iemocap(tmp_path) -> Path:
    """An IEMOCAP_full_release of eleven turns, to be broken."""
    return write_tree(tmp_path / "corpus", small_corpus())


@pytest.fixture
def write_wav():
    """write_wav(path, seconds=..., rate=..., channels=..., level=...): noise of that RMS."""

    def write(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1, level: float = 0.1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(1).normal(0, level, (round(seconds * rate), channels)) if level else None
        silent = np.zeros((round(seconds * rate), channels))
        soundfile.write(path, silent if samples is None else samples, rate, subtype="FLOAT", format="WAV")
        return path

    return write


@pytest.fixture
def headers_only(monkeypatch):
    """Take lengths from headers where thousands of recordings would be decoded."""

    def lengths(clips: dict[str, Clip], nj: int) -> dict[str, str]:
        return {utt: repr(soundfile.info(str(clip.path)).duration) for utt, clip in clips.items()}

    monkeypatch.setattr("trnet.corpora.speech.check_speech", lengths)
    monkeypatch.setattr("trnet.corpora.noise.check_noise", lengths)
    return monkeypatch


@pytest.fixture
def shared_data():
    """shared_data("nemo") -> its folder in the data pack; skips the test where there is none."""
    return lambda name: shared("data", name)
