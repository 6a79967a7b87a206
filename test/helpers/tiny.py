"""A tiny corpus made through the real code: WAV files, data dirs, noisy sets, front-end none, features.

Six speakers in three groups (S1F and S1M are group S1, and so on), four classes, two utterances each: 48 utterances
of 0.35 to 0.62 s, that is 33 to 60 frames. A class is a pitch, so that a small network can learn it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml

from trnet.bin import enhance, make_fbank, simulate
from trnet.config import Config, load_config
from trnet.kaldi.ark import ArkReader, write_ark
from trnet.kaldi.data_dir import DataDir, read_table, write_data_dir
from trnet.runs.experiment import Experiment
from trnet.train.session import Session

RATE = 16000
SPEAKERS = ("S1F", "S1M", "S2F", "S2M", "S3F", "S3M")
CLASSES = ("ang", "hap", "neu", "sad")
PITCH = {"ang": 500.0, "hap": 1000.0, "neu": 2000.0, "sad": 4000.0}
TAKES = 2
SETS = ("tiny", "tiny_esc_10db", "tiny_esc_0db")

CONFIG = {
    "frontend": "none",
    "features": {"num_mel_bins": 24},
    "simulation": {"seed": 3, "snrs": [10, 0]},
    "encoder": {"channels": [8, 8], "kernel": 3, "dropout": 0.1},
    "pooling": {"attention": 8},
    "training": {"batch_size": 8, "max_epochs": 3, "lr": 0.01, "grad_clip": 5.0, "plateau_patience": 1},
    "systems": {
        "baseline_c": {"input": "noisy", "conditions": "clean"},
        "baseline_n": {"input": "noisy"},
        "baseline_e": {"input": "enhanced"},
        "trnet": {"input": "both", "alpha": 0.5, "beta": 0.5, "bridge": True},
        "trnet_wo_low": {"input": "both", "alpha": 0.0, "beta": 0.5, "bridge": True},
        "trnet_wo_high": {"input": "both", "alpha": 0.5, "beta": 0.0, "bridge": False},
    },
}


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> str:
    """Write float WAV; the path as a string, for wav.scp."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), rate, subtype="FLOAT", format="WAV")
    return str(path)


def hiss(key: int, samples: int, level: float = 0.1) -> np.ndarray:
    """White noise (samples,) float32 of RMS `level`."""
    return np.random.default_rng(key).normal(0, level, samples).astype(np.float32)


def tone(emotion: str, key: int, samples: int) -> np.ndarray:
    """A tone of the class's pitch with a little noise, (samples,) float32."""
    time = np.arange(samples) / RATE
    return (0.2 * np.sin(2 * np.pi * PITCH[emotion] * time)).astype(np.float32) + hiss(key, samples, 0.02)


def speech_dir(root: Path, name: str, clips: dict[str, np.ndarray]) -> DataDir:
    """``<root>/<name>`` of clips (samples,) by utterance id ``<speaker>-<emotion>_<take>``; S1F is of group S1."""
    utt2spk = {utt: utt.partition("-")[0] for utt in clips}
    tables = {
        "wav.scp": {utt: write_wav(root / "downloads" / name / f"{utt}.wav", clip) for utt, clip in clips.items()},
        "utt2spk": utt2spk,
        "text": dict.fromkeys(clips, "la la"),
        "utt2dur": {utt: f"{len(clip) / RATE:.6f}" for utt, clip in clips.items()},
        "utt2emo": {utt: utt.partition("-")[2].partition("_")[0] or "neu" for utt in clips},
        "utt2group": {utt: spk[:2] for utt, spk in utt2spk.items()},
        "spk2gender": {spk: spk[-1].lower() if spk[-1] in "FM" else "f" for spk in utt2spk.values()},
    }
    return write_data_dir(root / name, tables)


def noise_dir(root: Path, name: str, clips: dict[str, np.ndarray]) -> DataDir:
    """``<root>/noise_<name>`` of clips (samples,) by clip id ``<source>-<number>``."""
    utt2src = {clip: clip.partition("-")[0] for clip in clips}
    tables = {
        "wav.scp": {c: write_wav(root / "downloads" / name / f"{c}.wav", clip) for c, clip in clips.items()},
        "utt2spk": utt2src,
        "utt2src": utt2src,
        "utt2dur": {c: f"{len(clip) / RATE:.6f}" for c, clip in clips.items()},
    }
    return write_data_dir(root / f"noise_{name}", tables)


def tiny_speech() -> dict[str, np.ndarray]:
    """The 48 utterances."""
    ids = [f"{spk}-{emo}_{take}" for spk in SPEAKERS for emo in CLASSES for take in range(TAKES)]
    return {utt: tone(utt[4:7], key, 5600 + 90 * key) for key, utt in enumerate(ids)}


def tiny_noise(name: str, sources: int = 4, clips: int = 2, first: int = 1000) -> dict[str, np.ndarray]:
    """Clips of 0.3 to 0.8 s, some longer than the speech and some shorter."""
    ids = [f"{name}{source}-{clip}" for source in range(sources) for clip in range(clips)]
    return {clip: hiss(first + key, 4800 + 1100 * key) for key, clip in enumerate(ids)}


def change_features(folder: Path, utt: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace what a folder of features holds of one utterance, as if it had been written so."""
    reader = ArkReader(folder)
    matrices = {key: np.array(reader[key]) for key in read_table(folder / "feats.scp")}
    matrices[utt] = change(matrices[utt])
    write_ark(folder, matrices.items(), 0)


@dataclass(frozen=True)
class Tiny:
    """Where the made corpus lies."""

    root: Path

    @property
    def config_path(self) -> Path:
        return self.root / "tiny.yaml"

    @property
    def config(self) -> Config:
        return load_config(self.config_path)

    @property
    def data(self) -> DataDir:
        return DataDir(self.root / "data" / "tiny")

    @property
    def dump(self) -> Path:
        return self.root / "dump"

    def folders(self, dump: Path | None = None) -> list[str]:
        """Command-line options that name the corpus."""
        return [
            "--config",
            str(self.config_path),
            "--corpus-data",
            str(self.data.path),
            "--dump",
            str(dump or self.dump),
        ]

    def experiment(self, exp: Path, dump: Path | None = None, **training) -> Experiment:
        """The experiment in a folder of its own, with changed training settings."""
        config = self.config.replace(training=self.config.training.replace(**training))
        return Experiment(config, self.data, dump or self.dump, exp)

    def session(self, exp: Path, dump: Path | None = None, **training) -> Session:
        """Training on the CPU in a folder of its own, with changed training settings."""
        return Session(self.experiment(exp, dump, **training), torch.device("cpu"))


def make_tiny(root: Path) -> Tiny:
    """Make the corpus below `root`: stages 1 (as a substitute) to 4, with the matched noise alone."""
    tiny = Tiny(root)
    tiny.config_path.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    speech_dir(root / "data", "tiny", tiny_speech())
    noise_dir(root / "data", "esc", tiny_noise("esc"))
    config = ["--config", str(tiny.config_path)]
    sets = ["--sets", " ".join(str(root / "data" / name) for name in SETS), "--dump", str(tiny.dump)]
    assert simulate.main([*config, "--corpus-data", str(root / "data/tiny"), "--noises", "esc"]) == 0
    assert enhance.main([*config, *sets]) == 0
    assert make_fbank.main([*config, *sets]) == 0
    return tiny
