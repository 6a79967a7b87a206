"""Enhance whole data dirs with a front-end: stage 3."""

import contextlib
import glob
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from trnet.audio.crop import crop, cropped_length, read_clip, read_cropped
from trnet.audio.reading import is_whole, lost, write_audio
from trnet.config import Features
from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd
from trnet.frontend.clips import enhance_clips, enhance_utterance
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import TrnetError
from trnet.utils.files import flush_disks
from trnet.utils.locks import is_held, lock_of, only_one
from trnet.utils.stamp import Stamp, dir_digest
from trnet.utils.workers import imap

CPU_CLIPS = 8  # in a batch: more gain nothing
GPU_CLIPS, GPU_SECONDS = 64, 320.0  # in a batch, at most
READERS = 4  # threads that read ahead for, and write behind, a front-end in this process

_worker: FrontEnd | None = None  # of this process


@dataclass(frozen=True)
class _Job:
    """One utterance: its id, what to call it in errors, where it lies, where its enhanced audio goes."""

    utt: str
    name: str
    clip: Clip
    target: Path
    seconds: float


@dataclass(frozen=True)
class _Batch:
    """Utterances of like length, and the settings that say which span of them is heard."""

    jobs: tuple[_Job, ...]
    features: Features

    def done(self) -> bool:
        return all(is_whole(job.target) for job in self.jobs)


def _load(config: dict[str, Any], device: str) -> None:
    global _worker
    keep_freed_memory()
    if device == "cpu":
        torch.set_num_threads(1)  # sums in the same order whatever the number of processes
    _worker = build_frontend(config).to(device)


def _read(batch: _Batch) -> list[np.ndarray]:
    assert _worker is not None
    if _worker.needs_ids:  # whole utterances are known by id; the span is cut from what is found
        return [read_clip(job.clip, batch.features.sample_rate) for job in batch.jobs]
    return [read_cropped(job.clip, batch.features) for job in batch.jobs]


def _compute(batch: _Batch, clips: list[np.ndarray]) -> list[np.ndarray]:
    assert _worker is not None
    if not _worker.needs_ids:
        return enhance_clips(_worker, clips, [job.name for job in batch.jobs])
    found = [enhance_utterance(_worker, j.utt, clip, j.name) for j, clip in zip(batch.jobs, clips, strict=True)]
    return [crop(samples, batch.features.span, batch.features.pad) for samples in found]


def _write(batch: _Batch, enhanced: list[np.ndarray]) -> None:
    for job, samples in zip(batch.jobs, enhanced, strict=True):
        write_audio(job.target, samples, batch.features.sample_rate)


def _enhance(batch: _Batch) -> None:
    _write(batch, _compute(batch, _read(batch)))


def _enhance_here(batches: Sequence[_Batch]) -> Iterator[None]:
    """Enhance in this process, reading ahead and writing behind in threads, so that the network never waits."""
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
    """A data dir that is not finished: where its enhanced audio goes, and its stamp."""

    data: DataDir
    out: Path
    stamp: Stamp
    features: Features

    def jobs(self) -> list[_Job]:
        seconds = self.data["utt2dur"] if self.data.has("utt2dur") else dict.fromkeys(self.data.utts, "0")
        name = f"{self.data.path}: utterance"
        return [
            _Job(utt, f"{name} {utt}", self.data.clip(utt), self.target(utt), float(seconds[utt]))
            for utt in self.data.utts
        ]

    def target(self, utt: str) -> Path:
        return self.out / "wav" / f"{utt}.wav"

    def finish(self) -> bool:
        """Write the tables if all audio is there; whether it is."""
        if not all(self.target(utt).exists() for utt in self.data.utts):
            return False
        flush_disks()
        tables = {
            "wav.scp": {utt: f"wav/{utt}.wav" for utt in self.data.utts},
            "utt2spk": self.data["utt2spk"],
        }
        if self.data.has("utt2dur"):  # by which stage 4 sees audio that was shortened
            tables["utt2dur"] = {utt: self._seconds(seconds) for utt, seconds in self.data["utt2dur"].items()}
        write_data_dir(self.out, tables)
        self.stamp.finish()
        return True

    def _seconds(self, seconds: str) -> str:
        """How long the enhanced span of an utterance of so many seconds is."""
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
    """Write the enhanced audio of data dirs to ``<folder>/wav`` with wav.scp; go on where an earlier call stopped.

    Batches are the same whatever is there already, so that a call that was stopped comes to the same numbers.

    Args:
        sets: Noisy or clean data dirs, with the folder for the enhanced audio of each; the folders lie in one.
        config: What `build_frontend` takes.
        fingerprint: Identifies the front-end and its weights; other weights make the folders anew.
        features: Says which span is heard.
        nj: Processes (on a CPU).
        device: ``cpu`` or ``cuda``.
        shard: (k, n): part k of n, the others being done elsewhere at the same time. Whoever ends last finishes a set.

    Raises: TrnetError for unreadable audio, a front-end that fails on an utterance, or another process at work there
        (on another shard with the same settings it may be).
    """
    root, (part, parts) = sets[0][1].parent, shard
    alone = parts == 1
    own = root if alone else root.with_name(f"{root.name}.{part}of{parts}")

    def together() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if alone else only_one(root, wait_s=60)

    with only_one(own, wait_s=2):  # another shard may be looking whether it is held
        with together():
            locks = sorted(root.parent.glob(f".{glob.escape(root.name)}.*of*.lock"))
            others = [lock for lock in locks if lock != lock_of(own) and is_held(lock)]
            strangers = [] if alone else [lock for lock in others if not lock.name.endswith(f"of{parts}.lock")]
            if strangers:
                raise TrnetError(f"{root}: {strangers[0].name} is held: another division is at work there; use one")
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
        print(f"shard {part} of {parts} is done; {left} of {len(todo)} sets wait for other shards")


def _begin(
    sets: list[tuple[DataDir, Path]], fingerprint: dict[str, Any], features: Features, alone: bool, others: bool
) -> list[_Set]:
    """The sets that are not finished; what was made from something else is cleared, unless `others` are at work."""
    span = {"sample_rate": features.sample_rate, "span": features.span, "pad": features.pad}
    todo = []
    for data, out in sets:
        stamp = Stamp(out, "enhance", {"data": dir_digest(data.path), "frontend": fingerprint, "span": span})
        each = _Set(data, out, stamp, features)
        if stamp.done() and not lost(out, [each.target(utt) for utt in data.utts]):
            print(f"{out}: up to date")
            continue
        changed = stamp.changed()
        if others and (alone or changed):
            what = f"with another {' and '.join(changed)}" if changed else "on shards of it"
            raise TrnetError(f"{out}: another process is at work there, {what}; wait until it ends, or stop it")
        if changed:
            print(f"{out}: made anew, changed: {', '.join(changed)}")
        stamp.begin(sweep=alone)
        todo.append(each)
    return todo


def _batches(sets: list[_Set], features: Features, device: str) -> list[_Batch]:
    """Batches of like length; clips of one length lie together."""
    jobs = sorted((job for each in sets for job in each.jobs()), key=lambda job: (job.seconds, job.utt))
    if device == "cpu":
        return [_Batch(tuple(jobs[i : i + CPU_CLIPS]), features) for i in range(0, len(jobs), CPU_CLIPS)]
    batches: list[list[_Job]] = [[]]
    for seconds, group in itertools.groupby(jobs, key=lambda job: job.seconds):
        of_one_length, most = list(group), max(1, min(GPU_CLIPS, int(GPU_SECONDS / max(seconds, 1e-3))))
        if len(batches[-1]) + len(of_one_length) > most:
            batches.append([])
        for job in of_one_length:
            if len(batches[-1]) == most:
                batches.append([])
            batches[-1].append(job)
    return [_Batch(tuple(batch), features) for batch in batches if batch]
