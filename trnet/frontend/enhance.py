"""Enhance whole data dirs with a front-end: stage 3."""

import contextlib
import glob
import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from trnet.audio.crop import crop, crop_settings, cropped_length, read_clip, read_cropped
from trnet.audio.reading import is_whole, lost, write_audio
from trnet.config import Features
from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd
from trnet.frontend.clips import begin_clips, enhance_utterance
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import TrnetError
from trnet.utils.files import flush_disks
from trnet.utils.locks import is_locked, lock_of, only_one
from trnet.utils.stamp import Stamp, dir_digest
from trnet.utils.workers import imap

log = logging.getLogger(__name__)

CPU_CLIPS = 8  # in a batch; more are not faster
GPU_CLIPS, GPU_SECONDS = 64, 320.0  # in a batch, at most
READERS = 4  # threads that read ahead and write behind in this process

_worker: FrontEnd | None = None  # of this process


@dataclass(frozen=True)
class _Utterance:
    """One utterance: its id, its name for messages, its audio, and the file of its enhanced audio."""

    utt: str
    name: str
    clip: Clip
    target: Path
    seconds: float


@dataclass(frozen=True)
class _Batch:
    """Utterances of similar length, and the settings by which they are cropped."""

    utterances: tuple[_Utterance, ...]
    features: Features

    def done(self) -> bool:
        return all(is_whole(utterance.target) for utterance in self.utterances)


def _load(config: dict[str, Any], device: str) -> None:
    global _worker
    keep_freed_memory()
    if device == "cpu":
        torch.set_num_threads(1)  # the same order of summation for any number of processes
    _worker = build_frontend(config).to(device)


def _read(batch: _Batch) -> list[np.ndarray]:
    assert _worker is not None
    if _worker.needs_ids:  # whole utterances; their output is cropped
        return [read_clip(utterance.clip, batch.features.sample_rate) for utterance in batch.utterances]
    return [read_cropped(utterance.clip, batch.features) for utterance in batch.utterances]


def _compute(batch: _Batch, clips: list[np.ndarray]) -> Callable[[], list[np.ndarray]]:
    """Begin to enhance; what is returned waits for the result, which a GPU gives later, and gives it."""
    assert _worker is not None
    if not _worker.needs_ids:
        return begin_clips(_worker, clips, [utterance.name for utterance in batch.utterances])
    found = [enhance_utterance(_worker, j.utt, clip, j.name) for j, clip in zip(batch.utterances, clips, strict=True)]
    cropped = [crop(samples, batch.features.span, batch.features.pad) for samples in found]
    return lambda: cropped


def _write(batch: _Batch, enhanced: Callable[[], list[np.ndarray]]) -> None:
    for utterance, samples in zip(batch.utterances, enhanced(), strict=True):
        write_audio(utterance.target, samples, batch.features.sample_rate)


def _enhance(batch: _Batch) -> None:
    _write(batch, _compute(batch, _read(batch)))


def _enhance_here(batches: Sequence[_Batch]) -> Generator[None, None, None]:
    """Enhance in this process; threads read ahead, wait for a GPU and write behind, so that the network never waits."""
    with ThreadPoolExecutor(READERS) as threads:
        reads: deque[Future] = deque()
        writes: deque[Future] = deque()
        try:
            for number, batch in enumerate(tqdm(batches, "enhance", unit="batch", disable=not batches)):
                while len(reads) < READERS and number + len(reads) < len(batches):
                    reads.append(threads.submit(_read, batches[number + len(reads)]))
                writes.append(threads.submit(_write, batch, _compute(batch, reads.popleft().result())))
                if len(writes) > READERS:
                    writes.popleft().result()
                    yield
            while writes:
                writes.popleft().result()
                yield
        finally:
            for waiting in reads:
                waiting.cancel()


@dataclass(frozen=True)
class _Set:
    """An unfinished data dir, the folder of its enhanced audio, and its stamp."""

    data: DataDir
    out: Path
    stamp: Stamp
    features: Features

    def utterances(self) -> list[_Utterance]:
        seconds = self.data["utt2dur"] if self.data.has("utt2dur") else dict.fromkeys(self.data.utts, "0")
        name = f"{self.data.path}: utterance"
        return [
            _Utterance(utt, f"{name} {utt}", self.data.clip(utt), self.target(utt), float(seconds[utt]))
            for utt in self.data.utts
        ]

    def target(self, utt: str) -> Path:
        return self.out / "wav" / f"{utt}.wav"

    def finish(self) -> bool:
        """Write the tables if all audio exists; whether it does."""
        if not all(self.target(utt).exists() for utt in self.data.utts):
            return False
        flush_disks()
        tables = {"wav.scp": {utt: f"wav/{utt}.wav" for utt in self.data.utts}, "utt2spk": self.data["utt2spk"]}
        if self.data.has("utt2dur"):  # by which stage 4 detects truncated audio
            tables["utt2dur"] = {utt: self._seconds(seconds) for utt, seconds in self.data["utt2dur"].items()}
        write_data_dir(self.out, tables)
        self.stamp.finish()
        return True

    def _seconds(self, seconds: str) -> str:
        """Duration after cropping."""
        return f"{cropped_length(float(seconds), self.features) / self.features.sample_rate:.6f}"


def enhance_data_dirs(
    sets: list[tuple[DataDir, Path]],
    config: dict[str, Any],
    fingerprint: dict[str, Any],
    features: Features,
    nj: int,
    device: str,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Write the enhanced audio of data dirs to ``<folder>/wav`` with wav.scp, resuming an earlier call.

    Batches do not depend on what exists already, so that a resumed call gives identical results.

    Args:
        sets: Noisy or clean data dirs, with the folder for the enhanced audio of each; all folders have one parent.
        config: Argument of `build_frontend`.
        fingerprint: Of the front-end; with another one the folders are made again.
        features: Settings by which utterances are cropped.
        device: ``cpu`` or ``cuda``.
        shard: (k, n): part k of n; others run elsewhere at the same time. The last one to end finishes a set.

    Raises:
        TrnetError: If audio is unreadable, the front-end fails on an utterance, or another process works there (except
            on another shard with the same settings).
    """
    root, (part, parts) = sets[0][1].parent, shard
    alone = parts == 1
    kind = f"of{parts}" if device == "cpu" else f"of{parts}.gpu"  # whose batches are others
    own = root if alone else root.with_name(f"{root.name}.{part}{kind}")

    def together() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if alone else only_one(root, wait_s=60)

    with only_one(own, wait_s=2):  # another shard may be testing the lock
        with together():
            locks = sorted(root.parent.glob(f".{glob.escape(root.name)}.*of*.lock"))
            others = [lock for lock in locks if lock != lock_of(own) and is_locked(lock)]
            strangers = [] if alone else [lock for lock in others if not lock.name.endswith(f"{kind}.lock")]
            if strangers:
                raise TrnetError(
                    f"{root}: {strangers[0].name} is locked: shards of another total, or on another kind of device, "
                    "run there; use one total, and CPUs or GPUs for all"
                )
            todo = _begin(sets, fingerprint, features, alone, bool(others))
        # one set after the other on a CPU; all together on a GPU, where clips of one length make full batches
        groups = [todo] if device != "cpu" else [[each] for each in todo]
        batches = [_batches(group, features, device) for group in groups]
        numbered = [(number, batch) for number, group in enumerate(batches) for batch in group][part - 1 :: parts]
        waiting = [(number, batch) for number, batch in numbered if not batch.done()]
        work = [batch for _, batch in waiting]
        if nj == 1 or device != "cpu":
            _load(config, device)
            done = _enhance_here(work)
        else:
            done = imap(_enhance, work, nj, "enhance", unit="batch", initializer=_load, initargs=(config, device))
        left = 0
        with contextlib.closing(done):
            for number, group in enumerate(groups):
                for _ in (True for owner, _ in waiting if owner == number):
                    next(done)
                with together():
                    left += sum(not each.finish() for each in group)
    if left:
        log.info("shard %d of %d is done; %d of %d sets wait for other shards", part, parts, left, len(todo))


def _begin(
    sets: list[tuple[DataDir, Path]], fingerprint: dict[str, Any], features: Features, alone: bool, others: bool
) -> list[_Set]:
    """The unfinished sets; those with other settings are cleared, unless `others` work there."""
    span = crop_settings(features)
    todo = []
    for data, out in sets:
        stamp = Stamp(out, "enhance", {"data": dir_digest(data.path), "frontend": fingerprint, "span": span})
        each = _Set(data, out, stamp, features)
        if stamp.done() and not lost(out, [each.target(utt) for utt in data.utts]):
            log.info("%s: up to date", out)
            continue
        changed = stamp.changed()
        if others and (alone or changed):
            what = f"with another {' and '.join(changed)}" if changed else "on shards of it"
            raise TrnetError(f"{out}: another process is at work there, {what}; wait until it ends, or stop it")
        if changed:
            log.info("%s: made anew, changed: %s", out, ", ".join(changed))
        stamp.begin(sweep=alone)
        todo.append(each)
    return todo


def _batches(sets: list[_Set], features: Features, device: str) -> list[_Batch]:
    """Batches of utterances sorted by length; on a GPU, of few lengths."""
    found = [utterance for each in sets for utterance in each.utterances()]
    utterances = sorted(found, key=lambda utterance: (utterance.seconds, utterance.utt))
    if device == "cpu":
        return [_Batch(tuple(utterances[i : i + CPU_CLIPS]), features) for i in range(0, len(utterances), CPU_CLIPS)]
    batches: list[list[_Utterance]] = [[]]
    for seconds, group in itertools.groupby(utterances, key=lambda utterance: utterance.seconds):
        of_one_length, most = list(group), max(1, min(GPU_CLIPS, int(GPU_SECONDS / max(seconds, 1e-3))))
        if len(batches[-1]) + len(of_one_length) > most:
            batches.append([])
        for utterance in of_one_length:
            if len(batches[-1]) == most:
                batches.append([])
            batches[-1].append(utterance)
    return [_Batch(tuple(batch), features) for batch in batches if batch]
