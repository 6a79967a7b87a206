"""Enhance whole data dirs with a front-end: stage 3."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trnet.audio import write_audio
from trnet.config import Features
from trnet.errors import TrnetError
from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd
from trnet.heard import heard_span, read_clip, read_heard
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.parallel import imap
from trnet.stamp import Stamp, dir_digest

CLIPS = 8  # in a batch: on CPU more gain nothing

_worker: FrontEnd | None = None  # of this process


def enhance_clips(frontend: FrontEnd, clips: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Enhanced samples of clips (n_i,), each of its own length.

    A mixture may peak above full scale: it is scaled to peak 1 for the front-end and back, so levels stay comparable.

    Args:
        frontend: The front-end.
        clips: Waveforms (n_i,) float32.
        names: What to call each clip in an error.

    Raises: TrnetError naming the clip if the front-end gives another length, NaN, or silence for speech.
    """
    gains = [max(1.0, float(np.abs(clip).max())) for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.zeros(len(clips), int(lengths.max()))
    for row, clip, gain in zip(batch, clips, gains, strict=True):
        row[: len(clip)] = torch.from_numpy(clip / np.float32(gain))
    with torch.inference_mode():
        enhanced = frontend.enhance(batch.to(frontend.device), lengths.to(frontend.device)).cpu().numpy()
    if enhanced.shape != tuple(batch.shape):
        raise TrnetError(f"{names[0]}: front-end made {enhanced.shape} of {tuple(batch.shape)}; mend the front-end")
    out = [row[: len(clip)] * np.float32(gain) for row, clip, gain in zip(enhanced, clips, gains, strict=True)]
    for name, samples, clip in zip(names, out, clips, strict=True):
        _check(name, samples, clip)
    return out


def enhance_utterance(frontend: FrontEnd, utt: str, clip: np.ndarray, name: str) -> np.ndarray:
    """Enhanced samples (n,) of a whole utterance by a front-end that needs its id.

    Args:
        frontend: The front-end.
        utt: Id of the utterance.
        clip: Its waveform (n,) float32.
        name: What to call it in an error.

    Raises: TrnetError naming the utterance if the front-end gives another length, NaN, or silence for speech.
    """
    with torch.inference_mode():
        enhanced = frontend.enhance_utterance(utt, torch.from_numpy(clip).to(frontend.device)).cpu().numpy()
    if enhanced.shape != clip.shape:
        raise TrnetError(f"{name}: front-end made {enhanced.shape} of {clip.shape}; mend the front-end")
    _check(name, enhanced, clip)
    return enhanced


def _check(name: str, samples: np.ndarray, clip: np.ndarray) -> None:
    if not np.isfinite(samples).all():
        raise TrnetError(f"{name}: front-end gave NaN or infinite samples; check its checkpoint")
    if not samples.any() and clip.any():
        raise TrnetError(f"{name}: front-end gave digital silence; check its checkpoint")


def _load(config: dict[str, Any], device: str) -> None:
    global _worker
    _worker = build_frontend(config).to(device)


@dataclass(frozen=True)
class _Job:
    """One utterance: its id, what to call it in errors, where it lies, where its enhanced audio goes."""

    utt: str
    name: str
    clip: Clip
    target: Path


def _enhance(batch: tuple[list[_Job], Features]) -> None:
    jobs, features = batch
    assert _worker is not None
    if _worker.needs_ids:  # whole utterances are known by id; the span is cut from what is found
        wholes = [read_clip(job.clip, features.sample_rate) for job in jobs]
        found = [enhance_utterance(_worker, job.utt, whole, job.name) for job, whole in zip(jobs, wholes, strict=True)]
        enhanced = [heard_span(samples, features.span, features.pad) for samples in found]
    else:
        clips = [read_heard(job.clip, features) for job in jobs]
        enhanced = enhance_clips(_worker, clips, [job.name for job in jobs])
    for job, samples in zip(jobs, enhanced, strict=True):
        write_audio(job.target, samples, features.sample_rate)


def enhance_data_dirs(
    sets: list[tuple[DataDir, Path]],
    config: dict[str, Any],
    fingerprint: dict[str, Any],
    features: Features,
    nj: int,
    device: str,
) -> None:
    """Write the enhanced audio of data dirs to ``<folder>/wav`` with wav.scp; go on where an earlier call stopped.

    Args:
        sets: Noisy or clean data dirs, with the folder for the enhanced audio of each.
        config: What `build_frontend` takes.
        fingerprint: Identifies the front-end and its weights; other weights make the folders anew.
        features: Says which span is heard.
        nj: Processes.
        device: ``cpu`` or ``cuda``.

    Raises: TrnetError for unreadable audio or a front-end that fails on an utterance.
    """
    span = {"sample_rate": features.sample_rate, "span": features.span, "pad": features.pad}
    todo, jobs = [], []
    for data, out in sets:
        stamp = Stamp(out, "enhance", {"data": dir_digest(data.path), "frontend": fingerprint, "span": span})
        if stamp.done():
            print(f"{out}: up to date")
            continue
        if changed := stamp.changed():
            print(f"{out}: made anew, changed: {', '.join(changed)}")
        stamp.begin()
        own = _batches(data, out, features)
        jobs += own
        todo.append((data, out, stamp, len(own)))
    done = imap(_enhance, jobs, nj, "enhance", unit="batch", initializer=_load, initargs=(config, device))
    with contextlib.closing(done):
        for data, out, stamp, count in todo:
            for _ in range(count):
                next(done)
            paths = {utt: str(_target(out, utt)) for utt in data.utts}
            write_data_dir(out, {"wav.scp": paths, "utt2spk": data["utt2spk"]})
            stamp.finish()


def _target(out: Path, utt: str) -> Path:
    return out / "wav" / f"{utt}.wav"


def _batches(data: DataDir, out: Path, features: Features) -> list[tuple[list[_Job], Features]]:
    """Batches of like length of the utterances that are not there yet."""
    waiting = [utt for utt in data.utts if not _target(out, utt).exists()]
    if data.has("utt2dur"):
        waiting.sort(key=lambda utt: (float(data["utt2dur"][utt]), utt))
    jobs = [_Job(utt, f"{data.path}: utterance {utt}", data.clip(utt), _target(out, utt)) for utt in waiting]
    return [(jobs[start : start + CLIPS], features) for start in range(0, len(jobs), CLIPS)]
