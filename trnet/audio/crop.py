"""The audio of utterances and noise clips in data dirs, and the part of an utterance that it is cropped to."""

import math
from typing import Any

import numpy as np

from trnet.audio.pipes import piped
from trnet.audio.reading import decode
from trnet.audio.resampling import resample
from trnet.config import Features
from trnet.kaldi.data_dir import Clip
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real

LONGER_S = 0.05  # audio may be so much longer than utt2dur, seconds


def own_length(seconds: float, features: Features) -> int:
    """Samples of a whole utterance."""
    return math.ceil(round(seconds * features.sample_rate, 3))


def cropped_length(seconds: float, features: Features) -> int:
    """Samples of an utterance after cropping."""
    return features.span if features.pad == "repeat" else min(own_length(seconds, features), features.span)


def is_cut(seconds: float, features: Features) -> bool:
    """Whether an utterance is longer than what it is cropped to."""
    return own_length(seconds, features) > features.span


def crop_settings(features: Features) -> dict[str, Any]:
    """The settings that decide the samples of an utterance, for a stamp."""
    return {"sample_rate": features.sample_rate, "span": features.span, "pad": features.pad}


def crop(samples: np.ndarray, span: int, pad: str) -> np.ndarray:
    """The first `span` samples; with ``pad="repeat"`` what is shorter is repeated up to them.

    Noise is added and SNRs are measured on this part, as in the authors' release.
    """
    samples = samples[:span]
    if pad == "repeat" and len(samples) < span:
        samples = np.resize(samples, span)  # np.resize repeats
    return samples


def read_clip(clip: Clip, sample_rate: int) -> np.ndarray:
    """Samples (n,) of a clip at `sample_rate` Hz. TrnetError if it cannot be read or is not as long as in utt2dur."""
    source = piped(clip.command, clip.name) if clip.command else clip.path
    where = clip.name if clip.command else str(clip.path)
    samples, rate, _ = decode(source, clip.start_s, clip.end_s, clip.channel, where)
    if clip.lasts:
        _check_length(clip, len(samples), rate)
    return resample(samples, rate, sample_rate)


def _check_length(clip: Clip, samples: int, rate: int) -> None:
    """Compare a clip with utt2dur to a sample; it may be two frames longer (utt2dur from counts of frames)."""
    try:
        stated = real(clip.lasts, 0)
    except ValueError as error:
        raise TrnetError(f"{clip.name}: utt2dur: {error}; prepare the data anew") from None
    _, point, decimals = clip.lasts.partition(".")
    digits = 0.5 * 10.0 ** -len(decimals) if point and decimals.isdecimal() else 0.0
    slack, more = digits + 1.001 / rate, samples / rate - stated
    if not -slack <= more <= max(slack, LONGER_S):
        raise TrnetError(
            f"{clip.name}: {clip.path} lasts {samples / rate:.6g} s, utt2dur says {stated:.6g} s; put it back as it "
            "was, or remove it and run the stage that makes it again"
        )


def read_cropped(clip: Clip, features: Features) -> np.ndarray:
    """Samples (n,) of an utterance, cropped."""
    return crop(read_clip(clip, features.sample_rate), features.span, features.pad)
