"""Features of many utterances: one by one in processes, or on a GPU in batches of clips of one length."""

import contextlib
import logging
import shutil
import statistics
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from trnet.audio.crop import cropped_length, read_cropped
from trnet.config import Fbank, Features
from trnet.features import Extractor, make_extractor
from trnet.features.equal_lengths import extract
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.workers import imap

log = logging.getLogger(__name__)

BATCHED = ("upstream",)  # features whose extractor has `batch` and `to`
WORTH = {"upstream": 40}  # utterances for which it pays to start a process; 1000 of other features
GPU_CLIPS, GPU_SECONDS = 64, 320.0  # in a batch, at most
READERS = 4  # threads that read ahead for a GPU

_extractor: Extractor  # of this process
_options: Features


@dataclass(frozen=True)
class Job:
    """One utterance of a set: its name for messages, its audio, and how long that is after cropping."""

    number: int  # of its set
    utt: str
    name: str
    clip: Clip
    seconds: float


def jobs_of(number: int, data: DataDir, features: Features) -> list[Job]:
    """The utterances of a set, in order; their length is 0 where utt2dur does not say."""
    lasts = data["utt2dur"] if data.has("utt2dur") else {}

    def seconds(utt: str) -> float:
        return cropped_length(float(lasts[utt]), features) / features.sample_rate if utt in lasts else 0.0

    return [Job(number, utt, f"utterance {utt} of {data.path}", data.clip(utt), seconds(utt)) for utt in data.utts]


def begin(features: Features, device: torch.device | None = None) -> None:
    """Make the extractor of this process."""
    global _extractor, _options
    _extractor, _options = make_extractor(features), features
    if device is not None and device.type != "cpu":
        _extractor.to(device)  # type: ignore[attr-defined]  # extractors without it do not come here


def one_by_one(jobs: Sequence[Job], features: Features, nj: int) -> Generator[np.ndarray, None, None]:
    """Features (frames, dim) of each utterance, in order, by up to `nj` processes.

    Raises:
        TrnetError: For audio that cannot be read or is shorter than one frame, or an extractor that fails.
    """
    worth = WORTH.get(features.type, 1000)
    return imap(features_of, jobs, nj, "features", initializer=begin, initargs=(features,), worth=worth)


def log_estimate(
    sets: Sequence[Sequence[Job]], folders: Sequence[Path], features: Features, nj: int, device: torch.device
) -> None:
    """Log how much there is to do, how much room it takes, and, of more than a few utterances, how long.

    Args:
        sets: Utterances of each set.
        folders: Where the features of each go.
        nj: Processes, on a CPU.
        device: Where features are computed.

    Raises:
        TrnetError: If the disk has less room.
    """
    extractor = make_extractor(features)
    jobs = [job for each in sets for job in each]
    seconds = sum(job.seconds for job in jobs)
    frames = sum(extractor.num_frames(round(job.seconds * features.sample_rate)) for job in jobs)
    size = frames * extractor.dim * (2 if features.compression else 4)
    there = next(folder for folder in (folders[0], *folders[0].parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    text = f"{len(sets)} sets, {seconds / 3600:.1f} h of audio, {size / 1e9:.1f} GB ({free / 1e9:.0f} GB are free)"
    log.info("%s: %s", features.type, text)
    if size > free:
        raise TrnetError(f"{there}: the features take {size / 1e9:.1f} GB, {free / 1e9:.1f} are free; make room")
    if seconds and len(jobs) > WORTH.get(features.type, 0):
        middle = statistics.median_low(job.seconds for job in jobs)
        speed = _speed(extractor, round(middle * features.sample_rate), device) * (nj if device.type == "cpu" else 1)
        log.info("%s: some %.0f min, at %.0f times real time", features.type, seconds / speed / 60, speed)


def _speed(extractor: Any, samples: int, device: torch.device) -> float:
    """Seconds of audio that are computed in a second: one clip of so many samples, on a GPU a batch of them."""
    if extractor.num_frames(samples) < 1:
        samples = extractor.sample_rate
    count = 1 if device.type == "cpu" else max(1, min(GPU_CLIPS, int(GPU_SECONDS * extractor.sample_rate / samples)))
    clips = list((0.1 * torch.sin(0.05 * torch.arange(samples))).expand(count, -1))
    extract(extractor.to(device), clips)
    began = time.perf_counter()
    extract(extractor, clips)
    return count * samples / extractor.sample_rate / (time.perf_counter() - began)


def features_of(job: Job) -> np.ndarray:
    """Features (frames, dim) of one utterance, cropped, by the extractor of this process."""
    with _reported([job]):
        return _checked(job, len(wav := _read(job)), _extractor(wav))


def in_batches(jobs: Sequence[Job], features: Features, device: torch.device) -> Iterator[tuple[Job, np.ndarray]]:
    """Features (frames, dim) of each utterance, those of one length together; errors as `one_by_one`.

    Args:
        features: Of a type whose extractor has `batch`, the same numbers as one by one.
    """
    begin(features, device)
    batches = list(_batches(jobs))
    with ThreadPoolExecutor(READERS) as threads, tqdm(total=len(jobs), desc="features", unit="utt") as bar:
        reads: deque[list[Future[torch.Tensor]]] = deque()
        try:
            for number, batch in enumerate(batches):
                while len(reads) < 2 and number + len(reads) < len(batches):
                    reads.append([threads.submit(_read, job) for job in batches[number + len(reads)]])
                wavs = [read.result() for read in reads.popleft()]
                yield from _computed(batch, wavs)
                bar.update(len(batch))
        finally:
            for waiting in reads:
                for read in waiting:
                    read.cancel()


def _batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Utterances sorted by length, a bounded number of clips and seconds at a time."""
    batch: list[Job] = []
    for job in sorted(jobs, key=lambda job: (job.seconds, job.utt, job.number)):
        if batch and (len(batch) == GPU_CLIPS or job.seconds * (len(batch) + 1) > GPU_SECONDS):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _computed(jobs: Sequence[Job], wavs: Sequence[torch.Tensor]) -> Iterator[tuple[Job, np.ndarray]]:
    with _reported(jobs):
        found = extract(_extractor, wavs)
    yield from ((job, _checked(job, len(wav), each)) for job, wav, each in zip(jobs, wavs, found, strict=True))


def _read(job: Job) -> torch.Tensor:
    """Samples (n,) of an utterance, cropped."""
    wav = torch.from_numpy(read_cropped(job.clip, _options))
    if not isinstance(_options, Fbank) and _extractor.num_frames(len(wav)) < 1:
        raise TrnetError(f"{job.clip.path}: {job.name}: {len(wav)} samples are shorter than one frame; remove it there")
    return wav


@contextlib.contextmanager
def _reported(jobs: Sequence[Job]) -> Iterator[None]:
    """Within the block: what an extractor raises names the utterance, or the first of several."""
    job = jobs[0]
    try:
        with torch.inference_mode():
            yield
    except ValueError as error:
        raise TrnetError(f"{job.clip.path}: {job.name}: {error}; remove the utterance there") from None
    except (TrnetError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if not _options.is_own:
            raise
        raise TrnetError(
            f"{_options.type}: raised {type(error).__name__}: {first_line(error)}, on {job.name}"
        ) from None


def _checked(job: Job, samples: int, features: torch.Tensor) -> np.ndarray:
    wanted = (_extractor.num_frames(samples), _extractor.dim)
    if tuple(features.shape) != wanted or features.dtype != torch.float32:
        found = f"{tuple(features.shape)} {features.dtype}"
        raise TrnetError(
            f"{_options.type}: gives {found} instead of {wanted} torch.float32, on {job.name}; mend the class"
        )
    return features.numpy()
