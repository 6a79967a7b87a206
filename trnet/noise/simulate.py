"""Noisy sets on disk: one data dir a noise and SNR, 32-bit float WAV, from one manifest."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trnet.audio.crop import cropped_length, read_clip, read_cropped
from trnet.audio.reading import is_whole, lost, write_audio
from trnet.conditions import Condition
from trnet.config import Features, Simulation
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.noise.manifest import build_manifest, mixture
from trnet.utils.errors import TrnetError
from trnet.utils.files import flush_disks
from trnet.utils.stamp import Stamp, digest, dir_digest
from trnet.utils.workers import imap

logger = logging.getLogger(__name__)

COPIED = ("utt2spk", "text", "utt2emo", "utt2group", "utt2style", "utt2split")


@dataclass(frozen=True)
class _Job:
    """One utterance under all SNRs of one noise set."""

    name: str  # for errors
    speech: Clip
    noise: Clip
    start: int
    targets: tuple[tuple[float, Path], ...]  # SNR in dB, WAV to write
    features: Features


def _mix(job: _Job) -> float:
    """Write the noisy files of one utterance; return the largest peak."""
    speech = read_cropped(job.speech, job.features)
    noise = read_clip(job.noise, job.features.sample_rate)
    peak = 0.0
    for snr_db, path in job.targets:
        try:
            noisy = mixture(speech, noise, job.start, snr_db)
        except ValueError as error:
            hint = "remove the one that is silent from its data dir"
            raise TrnetError(f"{job.name}: {error}, no SNR can be set; {hint}") from None
        write_audio(path, noisy, job.features.sample_rate)
        peak = max(peak, float(np.abs(noisy).max()))
    return peak


def simulate(
    speech: DataDir,
    noise: DataDir,
    noise_name: str,
    out_root: Path,
    features: Features,
    conf: Simulation,
    nj: int,
    groups: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``<out_root>/<corpus>_<noise>_<snr>db`` for every SNR; return those folders.

    Each holds wav.scp with its audio under wav/, the tables of the speech, utt2dur of the cropped utterances, and the
    manifest: utt2clean, utt2noise (clip and first sample), utt2snr (dB). `groups` takes the place of utt2group: no two
    of them share a noise source.

    Raises:
        TrnetError: For silent speech or noise, unreadable audio, or too few noise sources.
    """
    snrs = conf.all_snrs
    conditions = [Condition(noise_name, snr) for snr in snrs]
    folders = [Path(out_root) / c.data_name(speech.path.name) for c in conditions]
    made_from = {"speech": dir_digest(speech.path), "noise": dir_digest(noise.path), "features": _span_of(features)}
    if groups is not None:
        made_from["groups"] = digest(groups)
    stamps = [
        Stamp(folder, "simulate", {**made_from, "seed": conf.seed, "snr_db": condition.snr_db})
        for folder, condition in zip(folders, conditions, strict=True)
    ]

    def target(i: int, utt: str) -> Path:
        return folders[i] / "wav" / f"{conditions[i].utt(utt)}.wav"

    todo = [i for i, s in enumerate(stamps) if not s.done() or lost(folders[i], [target(i, u) for u in speech.utts])]
    for i, stamp in enumerate(stamps):
        if i not in todo:
            logger.info("%s: up to date", folders[i])
            continue
        if changed := stamp.changed():
            logger.info("%s: made anew, changed: %s", folders[i], ", ".join(changed))
        stamp.begin()
    if not todo:
        return folders
    utt2noise = build_manifest(speech, noise, noise_name, features, conf.seed, groups)
    jobs, seconds = [], {}
    for utt in speech.utts:
        seconds[utt] = cropped_length(float(speech["utt2dur"][utt]), features) / features.sample_rate
        clip, start = utt2noise[utt].split()
        targets = [(snrs[i], target(i, utt)) for i in todo]
        waiting = tuple((snr, path) for snr, path in targets if not is_whole(path))
        name = f"utterance {utt} of {speech.path} with noise {clip} of {noise.path}"
        if waiting:  # an earlier call that was stopped has made the others
            jobs.append(_Job(name, speech.clip(utt), noise.clip(clip), int(start), waiting, features))
    over = sum(peak > 1 for peak in imap(_mix, jobs, nj, f"mix {noise_name}", worth=400))
    if over:
        what = "utterances peak above full scale; kept unclipped (float WAV)"
        logger.info("%s: %d of %d %s", noise_name, over, len(jobs), what)
    flush_disks()
    for i in todo:
        _write_tables(folders[i], conditions[i], speech, utt2noise, seconds, groups)
        stamps[i].finish()
    return folders


def _span_of(features: Features) -> dict:
    """The settings that decide the audio (the rest only decide the spectrogram)."""
    return {"sample_rate": features.sample_rate, "span": features.span, "pad": features.pad}


def _write_tables(
    folder: Path,
    condition: Condition,
    speech: DataDir,
    utt2noise: dict,
    seconds: dict,
    groups: Mapping[str, str] | None,
) -> None:
    ids = {utt: condition.utt(utt) for utt in speech.utts}
    tables = {
        "wav.scp": {new: f"wav/{new}.wav" for new in ids.values()},
        "utt2dur": {new: f"{seconds[utt]:.6f}" for utt, new in ids.items()},
        "utt2clean": {new: utt for utt, new in ids.items()},
        "utt2noise": {new: utt2noise[utt] for utt, new in ids.items()},
        "utt2snr": dict.fromkeys(ids.values(), f"{condition.snr_db:g}"),
    }
    for name in COPIED:
        if speech.has(name):
            tables[name] = {new: speech[name][utt] for utt, new in ids.items()}
    if groups is not None:
        tables["utt2group"] = {new: groups[utt] for utt, new in ids.items()}
    if speech.has("spk2gender"):
        tables["spk2gender"] = speech["spk2gender"]
    write_data_dir(folder, tables)
