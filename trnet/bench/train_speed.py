"""How fast training is: the bare step, the engine around it, and the obvious way of feeding it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from trnet.conditions import CLEAN, Condition
from trnet.config import Config
from trnet.features.archive import make_archives
from trnet.features.cache import FeatureStore, Item, Room, Set, sets_of
from trnet.features.fbank import fbank
from trnet.features.reader import Archives
from trnet.folds import Fold
from trnet.kaldi.data_dir import DataDir, write_data_dir
from trnet.model.batch import Batch
from trnet.train.batches import BatchReader
from trnet.train.forward import input_kinds
from trnet.train.loop import Trajectory
from trnet.train.run import Run
from trnet.train.task import Task

CLASSES = ("ang", "hap", "neu", "sad")
NOISY = Condition("esc", 10.0)
CORPUS = "bench"
FRONTEND = "enhanced"


@dataclass(frozen=True)
class Corpus:
    """Utterances of noise of one length, as WAV files and as features, clean, noisy and enhanced."""

    root: Path
    config: Config
    utts: tuple[str, ...]

    def wav(self, kind: str, utt: str, condition: Condition) -> Path:
        """The audio of a kind (noisy or enhanced) of an utterance under a condition."""
        return self.root / "wav" / kind / f"{condition.utt(utt)}.wav"

    @property
    def labels(self) -> dict[str, int]:
        """Class index of each utterance."""
        return {utt: number % len(CLASSES) for number, utt in enumerate(self.utts)}

    @property
    def archives(self) -> Archives:
        """The features."""
        return Archives(self.root / "dump", FRONTEND, CORPUS)


def make_corpus(root: Path, config: Config, utterances: int, seconds: float, nj: int) -> Corpus:
    """Write such a corpus: as many samples as `seconds` says, 16 bits."""
    corpus = Corpus(root, config, tuple(f"spk-{number:05}" for number in range(utterances)))
    rate, rng, sets = config.features.sample_rate, np.random.default_rng(0), []
    for kind, condition in sets_of(["noisy", "enhanced"], [CLEAN, NOISY]):
        tables: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2dur": {}}
        for utt in corpus.utts:
            path = corpus.wav(kind, utt, condition)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, rng.normal(0, 0.1, round(seconds * rate)).clip(-1, 1), rate, subtype="PCM_16")
            for name, value in (("wav.scp", str(path)), ("utt2spk", "spk"), ("utt2dur", f"{seconds:.6f}")):
                tables[name][condition.utt(utt)] = value
        out = corpus.archives.folder(kind, condition)
        sets.append((write_data_dir(root / "data" / kind / out.name, tables), out))
    make_archives([(DataDir(data.path), out) for data, out in sets], config.features, nj)
    return corpus


def make_trajectory(
    corpus: Corpus, system: str, device: torch.device, resident: bool
) -> tuple[Trajectory, BatchReader]:
    """The engine on the corpus, features in memory or read from the archives; and what reads its batches."""
    config = corpus.config
    length = corpus.archives.lengths(CLEAN)
    store = FeatureStore(corpus.archives, length, device, None if resident else Room(0))
    conditions = (CLEAN, NOISY)
    named = config.system(system)
    if resident:
        store.hold(sets_of({"noisy", *input_kinds(named)}, conditions), corpus.utts)
    fold = Fold(1, "spk", "spk", train=corpus.utts, valid=(), test=(), draws="spk")
    task = Task(
        name=system,
        system=named,
        utts=corpus.utts,
        draws=fold.draws,
        seed=1,
        config=config,
        store=store,
        labels=corpus.labels,
        classes=CLASSES,
        conditions=conditions,
        h_s=None,
    )
    trajectory = Trajectory(task, [Run(task, fold, corpus.root / "none")])
    if named.needs_teacher:  # any h will do
        dim = trajectory.model.ser.pooling.out_dim
        task = replace(task, h_s={utt: torch.zeros(dim, device=device) for utt in corpus.utts})
        trajectory.task = task
    return trajectory, task.reader(training=True)


class TimedReader(BatchReader):
    """A reader that keeps the time that its batches take."""

    def __init__(self, reader: BatchReader) -> None:
        super().__init__(reader.store, reader.labels, reader.kinds, reader.target, reader.h_s)
        self.seconds = 0.0

    def read(self, items: list[Item]) -> Batch:
        """One batch."""
        began = time.perf_counter()
        batch = super().read(items)
        self.seconds += time.perf_counter() - began
        return batch


@dataclass(frozen=True)
class Speed:
    """Utterances per second, and the share of the time in which data were waited for."""

    utts_per_s: float
    wait: float


def engine_speed(trajectory: Trajectory, reader: BatchReader, epochs: int) -> Speed:
    """Whole epochs of the engine; one before them is not counted."""
    timed = TimedReader(reader)
    with tqdm(disable=True) as bar:
        trajectory.train_epoch(timed, bar)
        timed.seconds, began = 0.0, time.perf_counter()
        for _ in range(epochs):
            trajectory.train_epoch(timed, bar)
    took = time.perf_counter() - began
    return Speed(epochs * len(trajectory.task.utts) / took, timed.seconds / took)


def bare_speed(trajectory: Trajectory, reader: BatchReader, steps: int) -> Speed:
    """The same batch again and again."""
    size = trajectory.task.config.training.batch_size
    batch = reader.read([(utt, NOISY) for utt in trajectory.task.utts[:size]])
    trajectory.model.train()
    trajectory.step(batch)["loss"].item()
    began = time.perf_counter()
    for _ in range(steps):
        losses = trajectory.step(batch)
    losses["loss"].item()  # a GPU is done only then
    return Speed(steps * len(batch.items) / (time.perf_counter() - began), 0.0)


def gflop_per_utterance(trajectory: Trajectory, reader: BatchReader) -> float:
    """Matrix products and convolutions of a step, forward and backward; an addition and a multiplication are two."""
    batch = reader.read([(utt, NOISY) for utt in trajectory.task.utts[:8]])
    trajectory.model.train()
    with FlopCounterMode(display=False) as counter:
        trajectory.step(batch)
    return counter.get_total_flops() / len(batch.items) / 1e9


class _Obvious(Dataset):
    """Three waveforms read and three fbanks computed for an item."""

    def __init__(self, corpus: Corpus, wanted: list[Set]) -> None:
        self.corpus, self.wanted = corpus, wanted

    def __len__(self) -> int:
        return len(self.corpus.utts)

    def __getitem__(self, index: int) -> tuple[str, list[Tensor]]:
        utt = self.corpus.utts[index]
        return utt, [self._features(kind, utt, condition) for kind, condition in self.wanted]

    def _features(self, kind: str, utt: str, condition: Condition) -> Tensor:
        wav, _ = soundfile.read(self.corpus.wav(kind, utt, condition), dtype="float32")
        return fbank(torch.from_numpy(wav), self.corpus.config.features)


def _collate(items: list[Any]) -> tuple[list[str], list[Tensor]]:
    utts = [utt for utt, _ in items]
    return utts, [torch.stack(features) for features in zip(*(features for _, features in items), strict=True)]


def _obvious_batches(trajectory: Trajectory, reader: BatchReader, corpus: Corpus, workers: int) -> Iterator[Batch]:
    wanted = {kind: (kind, NOISY) for kind in reader.kinds}
    if reader.target is not None:
        wanted["clean"] = (reader.target, CLEAN)
    loader = DataLoader(
        _Obvious(corpus, list(wanted.values())),
        batch_size=trajectory.task.config.training.batch_size,
        shuffle=True,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=trajectory.task.device.type == "cuda",
    )
    for utts, stacks in loader:
        batch = Batch(
            tuple((utt, NOISY) for utt in utts),
            torch.full((len(utts),), stacks[0].shape[1]),
            torch.tensor([reader.labels[utt] for utt in utts]),
            h_s=None if reader.h_s is None else torch.stack([reader.h_s[utt] for utt in utts]),
            **dict(zip(wanted, stacks, strict=True)),
        )
        yield batch.to(trajectory.task.device)


def obvious_speed(trajectory: Trajectory, reader: BatchReader, corpus: Corpus, workers: int) -> Speed:
    """An epoch fed by a DataLoader that reads waveforms and computes features, `workers` processes beside this one."""
    trajectory.model.train()
    batches = _obvious_batches(trajectory, reader, corpus, workers)
    began, waited, seen = time.perf_counter(), 0.0, 0
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        trajectory.step(batch)["loss"].item()
        seen += len(batch.items)
    took = time.perf_counter() - began
    return Speed(seen / took, waited / took)
