"""Decode every recording once: its exact length, and whether it can be used at all."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from trnet.audio.decoding import open_sound
from trnet.audio.reading import SILENCE_RMS, AudioInfo, inspect_audio
from trnet.config import Fbank
from trnet.kaldi.data_dir import Clip
from trnet.utils.errors import TrnetError
from trnet.utils.text import counted, shorten
from trnet.utils.workers import imap

logger = logging.getLogger(__name__)

RATE = Fbank().sample_rate  # Hz, what the features are taken at
FRAME_SECONDS = Fbank().frame_length / 1000


def _inspect(job: tuple[str, Clip]) -> tuple[str, AudioInfo | str]:
    """Utterance id, and what its audio is or why it cannot be used."""
    utt, clip = job
    try:
        return utt, inspect_audio(clip.path, clip.start_s, clip.end_s, clip.channel)
    except TrnetError as error:
        return utt, error.reason


def refuse(bad: list[str], total: int, what: str) -> None:
    """Report recordings that cannot be used.

    Raises:
        TrnetError: If there are recordings that cannot be used; `bad` has the reasons.
    """
    if bad:
        raise TrnetError(
            f"{len(bad)} of {total} {what} cannot be used: {shorten(bad, 5, '; ')}; "
            "replace these files by whole copies and run the same command again"
        )


def _inspect_all(clips: Mapping[str, Clip], nj: int, what: str) -> tuple[dict[str, AudioInfo], list[str]]:
    """What each clip is, and the reasons against those that cannot be used."""
    infos, bad = {}, []
    for utt, result in imap(_inspect, list(clips.items()), nj, f"checking {what}", "clip", worth=500):
        if isinstance(result, str):
            bad.append(result)
        else:
            infos[utt] = result
    return infos, bad


def _log_formats(infos: Mapping[str, AudioInfo], clips: Mapping[str, Clip]) -> None:
    """Log which recordings are not at `RATE` Hz, and which are not mono."""
    recordings = {clips[utt].path: info for utt, info in infos.items()}.values()
    for rate, count in sorted(Counter(info.sample_rate for info in recordings).items()):
        if rate != RATE:
            lost = f", nothing above {rate / 2000:g} kHz" if rate < RATE else ""
            logger.info("%s at %d Hz: resampled to %d Hz%s", counted(count, "recording"), rate, RATE, lost)
    for channels, count in sorted(Counter(info.channels for info in recordings).items()):
        if channels > 1:
            kind = "stereo recordings" if channels == 2 else f"recordings of {channels} channels"
            chosen = {clips[utt].channel for utt in infos} - {None}
            taken = f"channel {next(iter(chosen))} taken" if chosen else "channels averaged"
            logger.info("%d %s: %s", count, kind, taken)


def _seconds(infos: Mapping[str, AudioInfo]) -> dict[str, str]:
    """Values of utt2dur, with all the digits that a float has."""
    return {utt: repr(info.seconds) for utt, info in infos.items()}


def check_speech(clips: Mapping[str, Clip], nj: int) -> dict[str, str]:
    """Decode all speech; utt2dur in seconds. TrnetError naming what is unreadable, silent, or shorter than a frame."""
    infos, bad = _inspect_all(clips, nj, "speech")
    for utt, info in infos.items():
        if info.seconds < FRAME_SECONDS:
            frame = f"one {FRAME_SECONDS * 1000:g} ms frame"
            bad.append(f"{clips[utt].path}: {info.seconds * 1000:.1f} ms, shorter than {frame}")
        elif info.rms < SILENCE_RMS:
            bad.append(f"{clips[utt].path}: is silent")
    refuse(sorted(bad), len(clips), "recordings")
    _log_formats(infos, clips)
    return _seconds(infos)


def check_noise(clips: Mapping[str, Clip], nj: int) -> dict[str, str]:
    """Decode all noise clips in `nj` processes; utt2dur in seconds, of those that are not silent.

    Silent clips cannot be mixed at an SNR: they are left out, with a warning.

    Raises:
        TrnetError: Naming what is corrupt, empty or NaN.
    """
    infos, bad = _inspect_all(clips, nj, "noise")
    refuse(sorted(set(bad)), len(clips), "noise clips")
    _log_formats(infos, clips)
    silent = sorted(utt for utt, info in infos.items() if info.rms < SILENCE_RMS)
    if silent:
        logger.warning("%d silent noise clips are left out: %s", len(silent), shorten(silent))
    return _seconds({utt: info for utt, info in infos.items() if info.rms >= SILENCE_RMS})


def lengths_in_samples(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    """Samples and rate in Hz of each recording, by its header.

    Raises:
        TrnetError: Naming the files that have none.
    """
    lengths, bad = {}, []
    for path in paths:
        try:
            sound = open_sound(path)
            lengths[path] = (sound.frames or 0, sound.rate)
            sound.close()
        except TrnetError as error:
            bad.append(error.reason)
    refuse(bad, len(paths), "recordings")
    return lengths
