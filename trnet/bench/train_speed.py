"""How fast training is: the bare step, the engine around it, and the obvious way of feeding it."""

import statistics
import time
from collections.abc import Iterator, Sequence
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
from trnet.features import make_extractor
from trnet.features.archive import make_archives
from trnet.features.cache import FeatureCache, Item, Room, sets_of
from trnet.features.reader import FeatureReader, FeatureSet
from trnet.folds import Fold
from trnet.kaldi.data_dir import DataDir, write_data_dir
from trnet.model.batch import Batch
from trnet.model.systems import make_ser
from trnet.runs.history import Rule
from trnet.runs.spec import RunSpec
from trnet.train.batches import BatchReader, training_batches
from trnet.train.fast_jobs import CapturedSERJob, make_job
from trnet.train.ser_job import SERData
from trnet.train.trainer import Progress, Trainer
from trnet.utils.compiled import cache_misses

CLASSES = ("ang", "hap", "neu", "sad")
NOISY = Condition("esc", 10.0)
CORPUS = "bench"
FRONTEND = "enhanced"
RECORDINGS = 256  # that differ; more utterances are these again
STRIDE = 97  # between lengths of neighbours, so that a few utterances have short and long ones
ASLEEP = 400_000_000  # cycles, a fifth of a second, in which a GPU's queue is filled


@dataclass(frozen=True)
class BenchCorpus:
    """Utterances of noise, as WAV files and as features, clean, noisy and enhanced."""

    root: Path
    config: Config
    utts: tuple[str, ...]

    def wav(self, kind: str, utt: str, condition: Condition) -> Path:
        """The audio of a kind (noisy or enhanced) of an utterance under a condition."""
        return self.root / "wav" / kind / f"{condition.utt(f'r{recording_of(utt):05}')}.wav"

    @property
    def labels(self) -> dict[str, int]:
        """Class index of each utterance."""
        return {utt: number % len(CLASSES) for number, utt in enumerate(self.utts)}

    @property
    def reader(self) -> FeatureReader:
        """The features."""
        return FeatureReader(self.root / "dump", FRONTEND, CORPUS)


def recording_of(utt: str) -> int:
    """The number of the recording that an utterance is."""
    return int(utt.partition("-")[2]) % RECORDINGS


def make_corpus(
    root: Path, config: Config, utterances: int, seconds: float, nj: int, shortest: float | None = None
) -> BenchCorpus:
    """Write such a corpus, 16 bits: each utterance of `seconds`, or evenly from `shortest` to `seconds`."""
    steps = (seconds - (seconds if shortest is None else shortest)) / (RECORDINGS - 1)
    corpus = BenchCorpus(root, config, tuple(f"spk-{number:05}" for number in range(utterances)))
    rate, rng, sets = config.features.sample_rate, np.random.default_rng(0), []
    for kind, condition in sets_of(["noisy", "enhanced"], [CLEAN, NOISY]):
        tables: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2dur": {}}
        for utt in corpus.utts:
            lasts = seconds - steps * (STRIDE * recording_of(utt) % RECORDINGS)
            path = corpus.wav(kind, utt, condition)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                soundfile.write(path, rng.normal(0, 0.1, round(lasts * rate)).clip(-1, 1), rate, subtype="PCM_16")
            for name, value in (("wav.scp", str(path)), ("utt2spk", "spk"), ("utt2dur", f"{lasts:.6f}")):
                tables[name][condition.utt(utt)] = value
        out = corpus.reader.folder(kind, condition)
        sets.append((write_data_dir(root / "data" / kind / out.name, tables), out))
    make_archives([(DataDir(data.path), out) for data, out in sets], config.features, nj)
    return corpus


class TimedReader(BatchReader):
    """A reader that keeps the time that its batches take."""

    seconds = 0.0

    def read(self, items: Sequence[Item]) -> Batch:
        """One batch."""
        began = time.perf_counter()
        batch = super().read(items)
        self.seconds += time.perf_counter() - began
        return batch


def with_training(corpus: BenchCorpus, **changes: Any) -> BenchCorpus:
    """The same corpus with other settings of training."""
    return replace(corpus, config=corpus.config.replace(training=corpus.config.training.replace(**changes)))


def make_cache(corpus: BenchCorpus, system: str, device: torch.device, resident: bool = True) -> FeatureCache:
    """The features that a system is trained on, in memory (resident) or left in the archives."""
    cache = FeatureCache(corpus.reader, corpus.reader.lengths(CLEAN), device, None if resident else Room(0))
    if resident:
        cache.hold(sets_of({"noisy", *corpus.config.system(system).inputs}, (CLEAN, NOISY)), corpus.utts)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # other threads read them, on streams of their own
    return cache


class Engine:
    """A system in training on the corpus, as runs of a recipe are."""

    def __init__(self, corpus: BenchCorpus, system: str, cache: FeatureCache, seed: int = 1) -> None:
        config, utts, device = corpus.config, corpus.utts, cache.device
        self.fold = Fold(1, "spk", "spk", train=utts, valid=(), test=(), draws="spk")
        data = SERData(
            name=system,
            config=config,
            seed=seed,
            draws=self.fold.draws,
            utts=utts,
            labels=corpus.labels,
            classes=CLASSES,
            conditions=(CLEAN, NOISY),
            cache=cache,
        )
        if config.needs_teacher(system):  # any h will do
            dim = make_ser(config.model(system), len(CLASSES)).h_dim
            data = replace(data, h_s={utt: torch.zeros(dim, device=device) for utt in utts})
        run = RunSpec(system, self.fold, seed, corpus.root / "none")
        self.data, self.job = data, make_job(data, [run])
        reader = self.job.reader
        self.reader = TimedReader(
            cache, reader.labels, reader.kinds, reader.target, reader.h_s, reader.tokens, reader.gate
        )
        self.job.reader = self.reader
        self.trainer = Trainer(self.job, [Progress(run, run.title, run.files, Rule("valid_uar", 1), device)])
        self.job.begin()

    def epoch(self) -> float:
        """Train for an epoch; the seconds that it took, all that the device had to do included."""
        began = time.perf_counter()
        with tqdm(disable=True) as bar:
            self.trainer.train_epoch(bar)  # ends with a look at the losses
        self.trainer.epoch += 1
        return time.perf_counter() - began

    def batch(self, size: int) -> Batch:
        """Noisy utterances of a batch as the engine trains on, the one of median length."""
        conf, length = self.data.config.training, self.data.cache.length
        items = [(utt, NOISY) for utt in self.data.utts]
        batches = list(training_batches(items, length, max(size, conf.batch_size), conf.bucketing, self.data.seed))
        whole = [batch for batch in batches if len(batch) >= size] or batches
        whole.sort(key=lambda batch: max(length[utt] for utt, _ in batch))
        return self.reader.read(whole[len(whole) // 2][:size])


@dataclass(frozen=True)
class Speed:
    """Utterances per second, and the share of the time in which data were waited for."""

    utts_per_s: float
    wait: float | None  # None: not known
    first_s: float = 0.0  # what the first epoch took beside an epoch: compiling, above all
    cold: bool = False  # whether graphs were compiled in it that inductor's cache did not have


def engine_speed(engine: Engine, epochs: int) -> Speed:
    """The median of whole epochs of the engine, after a first one.

    The share of waiting is that of reading batches; where steps are captured it is what is left of an epoch beside the
    time that its steps take on a GPU that has all of them in its queue.
    """
    known = cache_misses()
    first = engine.epoch()
    cold = cache_misses() > known
    engine.reader.seconds = 0.0
    times = [engine.epoch() for _ in range(epochs)]
    took = statistics.median(times)
    wait = engine.reader.seconds / sum(times)
    if (step := gpu_step_seconds(engine)) is not None:
        wait = max(0.0, 1 - step * steps_of(engine) / took)
    return Speed(len(engine.data.utts) / took, wait, max(0.0, first - took), cold)


def steps_of(engine: Engine) -> int:
    """Steps of an epoch."""
    return -(-len(engine.data.utts) // engine.data.config.training.batch_size)


def gpu_step_seconds(engine: Engine) -> float | None:
    """Seconds that a captured step takes on the GPU itself, whatever the host does; None where none is captured."""
    if not (isinstance(engine.job, CapturedSERJob) and engine.job.lane is not None):
        return None
    _, steps = engine.job.steps(engine.trainer.epoch + 1, [])
    stream = torch.cuda.current_stream(engine.job.device)
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(ASLEEP)
    began.record(stream)
    count = 0
    for step in steps:
        engine.job.step(step.batch)
        count += 1
    ended.record(stream)
    torch.cuda.synchronize(engine.job.device)
    return began.elapsed_time(ended) / 1000 / count


def bare_speed(engine: Engine, steps: int, repeats: int = 3) -> Speed:
    """The same batch again and again, the median of so many times; steps that are not captured."""
    batch = engine.batch(engine.data.config.training.batch_size)
    engine.job.model.train()
    engine.job.step(batch)["loss"].item()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(steps):
            losses = engine.job.step(batch)
        losses["loss"].item()  # a GPU is done only then
        times.append(time.perf_counter() - began)
    return Speed(steps * len(batch.items) / statistics.median(times), 0.0)


def gflop_per_utterance(engine: Engine) -> float:
    """Matrix products and convolutions of a step, forward and backward; an addition and a multiplication are two."""
    batch = engine.batch(8)
    engine.job.model.train()
    with FlopCounterMode(display=False) as counter:
        engine.job.step(batch)
    return counter.get_total_flops() / len(batch.items) / 1e9


class _Obvious(Dataset):
    """Three waveforms read and three fbanks computed for an item."""

    def __init__(self, corpus: BenchCorpus, wanted: list[FeatureSet]) -> None:
        self.corpus, self.wanted = corpus, wanted

    def __len__(self) -> int:
        return len(self.corpus.utts)

    def __getitem__(self, index: int) -> tuple[str, list[Tensor]]:
        utt = self.corpus.utts[index]
        return utt, [self._features(kind, utt, condition) for kind, condition in self.wanted]

    def _features(self, kind: str, utt: str, condition: Condition) -> Tensor:
        wav, _ = soundfile.read(self.corpus.wav(kind, utt, condition), dtype="float32")
        return make_extractor(self.corpus.config.features)(torch.from_numpy(wav))


def _collate(items: list[Any]) -> tuple[list[str], list[Tensor]]:
    utts = [utt for utt, _ in items]
    return utts, [torch.stack(features) for features in zip(*(features for _, features in items), strict=True)]


def _obvious_batches(engine: Engine, corpus: BenchCorpus, workers: int) -> Iterator[Batch]:
    reader, device = engine.reader, engine.job.device
    wanted = {kind: (kind, NOISY) for kind in reader.kinds}
    if reader.target is not None:
        wanted["clean"] = (reader.target, CLEAN)
    loader: DataLoader = DataLoader(
        _Obvious(corpus, list(wanted.values())),
        batch_size=engine.data.config.training.batch_size,
        shuffle=True,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=device.type == "cuda",
    )
    for utts, stacks in loader:
        batch = Batch(
            tuple((utt, NOISY) for utt in utts),
            torch.full((len(utts),), stacks[0].shape[1]),
            torch.tensor([reader.labels[utt] for utt in utts]),
            h_s=None if reader.h_s is None else torch.stack([reader.h_s[utt] for utt in utts]),
            **dict(zip(wanted, stacks, strict=True)),
        )
        yield batch.to(device)


def obvious_speed(engine: Engine, corpus: BenchCorpus, workers: int, most: int = 24) -> Speed:
    """Steps fed by a DataLoader that reads waveforms and computes features, `workers` processes beside this one.

    Args:
        engine: One whose steps are not captured.
        most: Batches at most; the first one, for which the workers have to start, is not counted if there are others.
    """
    engine.job.model.train()
    batches = _obvious_batches(engine, corpus, workers)
    began, waited, seen = time.perf_counter(), 0.0, 0
    for number in range(most):
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        waited += time.perf_counter() - asked
        engine.job.step(batch)["loss"].item()
        seen += len(batch.items)
        if number == 0 and len(corpus.utts) > seen:
            began, waited, seen = time.perf_counter(), 0.0, 0
    took = time.perf_counter() - began
    return Speed(seen / took, waited / took)
