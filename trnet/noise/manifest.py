"""The noise manifest: clip and first sample for each utterance."""

from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from trnet.audio.crop import cropped_length, read_clip
from trnet.config import Features
from trnet.kaldi.data_dir import DataDir
from trnet.noise.assign import assign_clips
from trnet.noise.mix import energy, is_silent, mix_at_snr, noise_segment
from trnet.utils.errors import TrnetError
from trnet.utils.random import rng_for

TRIES = 20  # starts drawn before the loudest sample is centred
WEAK_DB = -30.0  # a segment this far below its clip's mean power is passed over


def draw_start(noise: np.ndarray, length: int, rng: np.random.Generator) -> int:
    """First sample of a segment of `length` samples that holds noise.

    A clip longer than the span is entered where the whole span fits. Clips may hold digital silence: a start whose
    segment lies 30 dB below the clip's mean power is drawn again, and after 20 draws the loudest sample is centred.
    """
    last = len(noise) - length
    weak = energy(noise) / len(noise) * 10 ** (WEAK_DB / 10)
    for _ in range(TRIES):
        start = int(rng.integers(0, last + 1 if last > 0 else len(noise)))
        if energy(noise_segment(noise, start, length)) > weak * length:
            return start
    centred = int(np.abs(noise).argmax()) - length // 2
    return min(max(centred, 0), last) if last > 0 else centred % len(noise)


def build_manifest(
    speech: DataDir, noise: DataDir, name: str, features: Features, seed: int, groups: Mapping[str, str] | None = None
) -> dict[str, str]:
    """utt2noise: ``<noise clip> <first sample>`` (at the features' sampling rate) of each utterance.

    Args:
        speech: Data dir with utt2group and utt2dur.
        noise: Noise data dir with utt2src.
        name: Name of the noise set, part of the seed.
        features: How utterances are cropped.
        groups: Group of each utterance where it is not that of utt2group.

    Raises:
        TrnetError: If there are too few noise sources, or a clip cannot be read or is silent.
    """
    assigned = assign_clips(groups or speech["utt2group"], noise["utt2src"], seed, name)
    users: dict[str, list[str]] = {}
    for utt in sorted(assigned):
        users.setdefault(assigned[utt], []).append(utt)
    utt2noise = {}
    for clip in tqdm(sorted(users), desc=f"noise starts ({name})", unit="clip"):
        samples = read_clip(noise.clip(clip), features.sample_rate)
        if is_silent(samples):
            raise TrnetError(
                f"{noise.path}: noise clip {clip} is silent; remove it there (stage 1 leaves such clips out)"
            )
        for utt in users[clip]:
            length = cropped_length(float(speech["utt2dur"][utt]), features)
            utt2noise[utt] = f"{clip} {draw_start(samples, length, rng_for(seed, name, 'start', utt))}"
    return utt2noise


def mixture(speech: np.ndarray, noise: np.ndarray, start: int, snr_db: float) -> np.ndarray:
    """The noisy samples (n,) of cropped speech (n,) and a whole noise clip, as the manifest says."""
    return mix_at_snr(speech, noise_segment(noise, start, len(speech)), snr_db)
