"""Corpora of noise: what a clip is, and from the clips to a data directory."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trnet.corpora.audio_check import check_noise, lengths_in_samples
from trnet.corpora.contract import Contract
from trnet.corpora.source import Corpus
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.kaldi.paths import entry_for
from trnet.utils.errors import TrnetError

SEGMENT_SECONDS = 5  # of long recordings


@dataclass(frozen=True)
class NoiseClip:
    """One clip: the source recording it comes from (its id starts with it), and where its audio lies."""

    source: str
    clip: Clip


def safe_id(name: str) -> str:
    """`name` as an id: whatever is no letter, digit, dot, hyphen or underscore becomes an underscore."""
    return re.sub(r"[^\w.-]", "_", name)


def add_clip(clips: dict[str, NoiseClip], name: str, clip: NoiseClip) -> None:
    """Add a clip under its id.

    Raises:
        TrnetError: If the id is taken.
    """
    if name in clips:
        raise TrnetError(f"{clip.clip.path}: has the same name as {clips[name].clip.path}; keep one, or rename it")
    clips[name] = clip


def cut(recordings: Mapping[str, Path]) -> dict[str, NoiseClip]:
    """The five-second segments of recordings by name: ``<name>-0003``, counted from 0; the name is their source."""
    lengths = lengths_in_samples(list(recordings.values()))
    clips: dict[str, NoiseClip] = {}
    for name, path in recordings.items():
        samples, rate = lengths[path]
        for number in range(samples // (SEGMENT_SECONDS * rate)):
            start = float(number * SEGMENT_SECONDS)
            segment = NoiseClip(safe_id(name), Clip(path, start, start + SEGMENT_SECONDS))
            add_clip(clips, f"{segment.source}-{number:04d}", segment)
    return clips


@dataclass(frozen=True, kw_only=True)
class NoiseCorpus(Corpus):
    """A corpus of noise; `clips`: its folder -> its clips by their ids."""

    clips: Callable[[Path], dict[str, NoiseClip]]

    def prepare(
        self, root: Path, out: Path, contract: Contract | None = None, nj: int = 1, channel: int | None = None
    ) -> DataDir:
        """Write the data directory `out` of the corpus in `root`; silent clips are counted but left out.

        Without a `contract` (``clips``, ``sources``) a part of the corpus will do; `channel` None: the mean of all.

        Raises:
            TrnetError: For a missing or incomplete corpus, counts that are not the contract's, unusable audio.
        """
        return _write_noise(root, out, self.clips(self.locate(root)), contract, nj, channel)


def _write_noise(
    root: Path, out: Path, clips: Mapping[str, NoiseClip], contract: Contract | None, nj: int, channel: int | None
) -> DataDir:
    if contract is not None:
        counts = {"clips": len(clips), "sources": len({c.source for c in clips.values()})}
        contract.check({cell: count for cell, count in counts.items() if cell in contract.counts}, root)
    utt2dur = check_noise({utt: replace(c.clip, channel=channel) for utt, c in clips.items()}, nj)
    if not utt2dur:
        raise TrnetError(f"{root}: no noise clip is left; give a folder with recordings that are not silent")
    utt2src = {utt: clips[utt].source for utt in utt2dur}
    tables = {"utt2dur": utt2dur, "utt2spk": utt2src, "utt2src": utt2src}
    kept = {utt: clips[utt].clip for utt in sorted(utt2dur)}
    if any(clip.end_s is not None for clip in kept.values()):
        tables["segments"] = {utt: f"{utt2src[utt]} {c.start_s:.2f} {c.end_s:.2f}" for utt, c in kept.items()}
        paths = {utt2src[utt]: c.path for utt, c in kept.items()}
    else:
        paths = {utt: c.path for utt, c in kept.items()}
    tables["wav.scp"] = {recording: entry_for(path, out / "wav.scp") for recording, path in paths.items()}
    if channel is not None:
        tables["reco2channel"] = dict.fromkeys(paths, str(channel))
    return write_data_dir(out, tables)
