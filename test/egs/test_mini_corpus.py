"""The mini recipe's made corpora: layout, levels, counts, determinism, emotional cues."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import yaml

from trnet.utils.errors import TrnetError

pytest.importorskip("espeakng_loader")

pytestmark = pytest.mark.recipe

RECIPE = Path(__file__).parents[2] / "egs" / "mini" / "ser1"
UTTERANCE = re.compile(r"^Ses(0[1-5])([FM])_(impro|script)(\d\d)(?:_(\d))?([a-z]?)_([FM])(\d{3})$")
LABEL_LINE = re.compile(r"^\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(\w+)\t(\w{3})\t\[[\d., ]+\]$")
SAID_LINE = re.compile(r"^(\w+) \[(\d{3}\.\d{4})-(\d{3}\.\d{4})\]: \S.*[.?!]$")
MERGED = {"exc": "hap"}
SIZE = 10  # the recipe's


NOISE_PROGRAM = """
import sys
from pathlib import Path
import make_noise
make_noise.ESC_SOURCES, make_noise.UNMATCHED_FILES = 1, 8
for name, make in (("esc", make_noise.make_esc), ("musan", make_noise.make_musan)):
    folder = Path(sys.argv[1], name)
    folder.mkdir(parents=True)
    make(folder, seed=5)
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start Python in the recipe's local folder, in a process of its own with one thread."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=RECIPE / "local",
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_speech(out: Path, *options: str) -> subprocess.Popen[str]:
    """Start the corpus maker."""
    return start("make_speech.py", "--out", str(out), *options)


def digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def median_pitch(wave: np.ndarray, rate: int = 16000) -> float:
    """Return the median pitch in Hz of the voiced frames of a wave (n,)."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 640)[::320]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2
    power[:, int(1000 / rate * 2048) :] = 0.0  # the fundamental and a few harmonics
    match = np.fft.irfft(power)[:, :640] / np.maximum(np.arange(640, 0, -1) / 640, 0.2)
    low, high = rate // 480, rate // 60
    best = match[:, low:high].argmax(axis=1) + low
    clear = match[np.arange(len(best)), best] / np.maximum(match[:, 0], 1e-12)
    energy = (frames**2).mean(axis=1)
    voiced = (clear > 0.6) & (energy > 0.1 * energy.mean())
    return float(rate / np.median(best[voiced]))


@pytest.fixture(scope="module")
def makers() -> Iterator[dict[str, ModuleType]]:
    """The recipe's modules, which import each other by their bare names, and are forgotten afterwards."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("espeak", "make_noise", "make_speech"):
            spec = importlib.util.spec_from_file_location(name, RECIPE / "local" / f"{name}.py")
            made[name] = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, name, made[name])
            spec.loader.exec_module(made[name])
        yield made


@pytest.fixture(scope="module")
def corpus(made_corpora: Path) -> Path:
    """The corpus of the mini recipe."""
    return made_corpora / "mini"


@pytest.fixture(scope="module")
def labels(corpus: Path) -> dict[str, str]:
    """Utterance to label, as the label files say."""
    found = {}
    for path in sorted(corpus.glob("Session*/dialog/EmoEvaluation/*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
        assert lines[1] == "" and lines[-1] == ""
        for line in lines[2:]:
            if line.startswith("["):
                match = LABEL_LINE.match(line)
                assert match and match[3].startswith(path.stem), line
                found[match[3]] = match[4]
            elif line:
                assert re.match(r"^(C-E\d:\t\w+;|A-E\d:\tval \d; act \d; dom {2}\d;)\t\(\)$", line)
    return found


@pytest.fixture(scope="module")
def waves(corpus: Path) -> dict[str, np.ndarray]:
    """Utterance to samples."""
    found = {}
    for path in sorted(corpus.glob("Session*/sentences/wav/*/*.wav")):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        session = path.parents[3].name.removeprefix("Session")
        assert path.stem.startswith(f"Ses0{session}") and path.stem.startswith(path.parent.name)
        found[path.stem] = soundfile.read(path)[0]
    return found


def speaker_of(name: str) -> str:
    """Return the speaker of an utterance: session and last letter, not the marker's letter."""
    match = UTTERANCE.match(name)
    assert match, name
    return f"Ses{match[1]}{match[7]}"


def test_layout_is_iemocap_s(corpus: Path, labels: dict[str, str], waves: dict[str, np.ndarray]) -> None:
    said: dict[str, str] = {}
    for path in corpus.glob("Session*/dialog/transcriptions/*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = SAID_LINE.match(line)
            assert match and match[1].startswith(path.stem), line
            length = len(waves[match[1]]) / 16000
            assert float(match[3]) - float(match[2]) == pytest.approx(length, abs=2e-4)
            said[match[1]] = line.split(": ", 1)[1]
    assert set(labels) == set(waves) == set(said)
    assert len({speaker_of(name) for name in waves}) == 10
    for dialog in {name.rsplit("_", 1)[0] for name in waves}:
        inside = {speaker_of(name)[-1] for name in waves if name.rsplit("_", 1)[0] == dialog}
        assert inside == {"F", "M"}, dialog
    scripted = [
        {said[name] for name in said if f"Ses0{session}" in name and "_script" in name} for session in range(1, 6)
    ]
    assert set.intersection(*scripted)
    assert not list(corpus.parent.glob("*.partial"))


def test_durations_and_levels(waves: dict[str, np.ndarray]) -> None:
    levels = []
    for name, wave in waves.items():
        assert 1.0 <= len(wave) / 16000 <= 2.5, name
        assert np.isfinite(wave).all() and np.abs(wave).max() < 0.92, name
        levels.append(20 * np.log10(wave.std()))
        frames = wave[: len(wave) // 160 * 160].reshape(-1, 160)
        assert frames.std(axis=1).min() > 1e-5, f"digital silence in {name}"
    assert -45 < min(levels) < -33 and -22 < max(levels) < -12


def test_counts(makers: dict[str, ModuleType], labels: dict[str, str]) -> None:
    speech = makers["make_speech"]
    found: dict[str, Counter[str]] = {name: Counter() for name in speech.class_counts(SIZE)}
    for name, label in labels.items():
        found[speaker_of(name)][MERGED.get(label, label)] += 1
    left_out = [counts.pop("fru") + counts.pop("xxx") for counts in found.values()]
    assert min(left_out) >= 2
    assert found == speech.class_counts(SIZE)
    assert {"hap", "exc"} <= set(labels.values())
    contract = (RECIPE / "conf" / "contract.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(contract) == speech.class_counts(SIZE)
    assert contract.endswith(speech.contract_lines(speech.class_counts(SIZE)))
    planned = Counter(
        (turn.speaker.name, MERGED.get(turn.label, turn.label))
        for session in range(1, 6)
        for turn in speech.plan_session(session, SIZE, seed=7)
    )
    for speaker, counts in yaml.safe_load(contract).items():
        assert {label: planned[speaker, label] for label in counts} == counts


def test_emotions_differ_but_overlap(labels: dict[str, str], waves: dict[str, np.ndarray]) -> None:
    names = sorted(waves)
    speakers = np.array([speaker_of(name) for name in names])
    emotions = np.array([MERGED.get(labels[name], labels[name]) for name in names])
    pitch = 12 * np.log2([median_pitch(waves[name]) for name in names])
    level = 20 * np.log10([waves[name].std() for name in names])
    for speaker in set(speakers):
        own = speakers == speaker
        pitch[own] -= np.median(pitch[own])
        level[own] -= np.median(level[own])
    by = {emotion: (pitch[emotions == emotion], level[emotions == emotion]) for emotion in ("ang", "hap", "neu", "sad")}
    assert np.median(by["hap"][0]) > np.median(by["neu"][0]) + 1.5
    assert np.median(by["neu"][0]) > np.median(by["sad"][0]) + 1.0
    assert np.median(by["ang"][1]) > np.median(by["neu"][1]) + 1.0
    assert np.median(by["neu"][1]) > np.median(by["sad"][1])
    for lower, higher, cue, part in (
        ("neu", "hap", 0, 0.02),
        ("ang", "hap", 0, 0.02),
        ("sad", "neu", 0, 0.02),
        ("neu", "ang", 1, 0.2),
        ("sad", "neu", 1, 0.2),
    ):
        top = np.quantile(by[lower][cue], 1 - part)
        assert top > np.quantile(by[higher][cue], part), (lower, higher, cue)
    assert all(levels.std() > 2.5 for _, levels in by.values())


def test_same_options_same_bytes_and_made_once(tmp_path: Path) -> None:
    outs = [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "b.partial").mkdir()
    (tmp_path / "b.partial" / "torn.wav").write_bytes(b"left by an interrupted run")
    options = ("--utts-per-emotion", "1", "--seed", "3")
    for process in [start_speech(out, *options) for out in outs]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    first, second = map(digests, outs)
    assert first == second and len(first) > 60
    again = start_speech(outs[0], *options)
    said, _ = again.communicate(timeout=60)
    assert said.count("\n") == 1 and "complete" in said


def test_made_once_keeps_what_is_not_its_own(makers: dict[str, ModuleType], tmp_path: Path) -> None:
    made_once = makers["make_noise"].made_once

    def build(folder: Path) -> None:
        (folder / "file").write_text("made")

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("text")
    with pytest.raises(TrnetError):
        made_once(tmp_path / "other", {"seed": 1}, build)
    assert (tmp_path / "other" / "precious").is_file()
    assert made_once(tmp_path / "out", {"seed": 1}, build)
    assert not made_once(tmp_path / "out", {"seed": 1}, build)
    (tmp_path / "out" / "old").write_text("of the former options")
    assert made_once(tmp_path / "out", {"seed": 2}, build)
    assert not (tmp_path / "out" / "old").exists()


def test_noise_families(tmp_path: Path) -> None:
    for process in [start("-c", NOISE_PROGRAM, str(tmp_path / run)) for run in "ab"]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    first, second = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert first == second and len(set(first.values())) == len(first)

    with (tmp_path / "a" / "esc" / "meta" / "esc50.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == "filename,fold,target,category,esc10,src_file,take".split(",")
    assert len({row["category"] for row in rows}) == 8 and len(rows) == 16
    assert set(Counter(row["src_file"] for row in rows).values()) == {2}
    for row in rows:
        parts = (row["fold"], row["src_file"], row["take"], row["target"])
        assert row["filename"] == "-".join(parts) + ".wav"
        wave, rate = soundfile.read(tmp_path / "a" / "esc" / "audio" / row["filename"])
        assert rate == 44100 and wave.shape == (5 * 44100,)
        assert np.abs(wave).max() < 0.92 and -50 < 20 * np.log10(wave.std()) < -10

    root = tmp_path / "a" / "musan" / "noise"
    paths = sorted(root.glob("*/*.wav"))
    assert len(paths) == 8 and (root / "sound-bible" / "noise-sound-bible-0000.wav") in paths
    listed = (root / "free-sound" / "ANNOTATIONS").read_text(encoding="utf-8").splitlines()[1:]
    assert listed and set(listed) < {path.stem for path in paths}
    for path in paths:
        wave, rate = soundfile.read(path)
        assert rate == 16000 and 6 <= len(wave) / rate <= 16
        assert np.abs(wave).max() < 0.92 and -50 < 20 * np.log10(wave.std()) < -10
