"""The audio of utterances and noise clips in data dirs, and the span of an utterance that the model hears."""

import math

import numpy as np

from trnet.audio import read_audio
from trnet.config import Features
from trnet.kaldi.data_dir import Clip


def own_length(seconds: float, features: Features) -> int:
    """Samples of a whole utterance."""
    return math.ceil(round(seconds * features.sample_rate, 3))


def span_length(seconds: float, features: Features) -> int:
    """Samples of an utterance that the model hears."""
    return features.span if features.pad == "repeat" else min(own_length(seconds, features), features.span)


def is_cut(seconds: float, features: Features) -> bool:
    """Whether the model hears only the beginning of an utterance."""
    return own_length(seconds, features) > features.span


def num_frames(samples: int, features: Features) -> int:
    """Frames of a clip of so many samples (Kaldi's snip-edges rule: whole windows only)."""
    window = round(features.frame_length * features.sample_rate / 1000)
    shift = round(features.frame_shift * features.sample_rate / 1000)
    return max(0, 1 + (samples - window) // shift)


def heard_span(samples: np.ndarray, span: int, pad: str) -> np.ndarray:
    """The part that the model hears: cut to `span` samples; with ``pad="repeat"`` repeated up to them.

    Noise is added and SNRs are measured on this span, as in the authors' release.
    """
    samples = samples[:span]
    if pad == "repeat" and len(samples) < span:
        samples = np.resize(samples, span)  # np.resize repeats
    return samples


def read_clip(clip: Clip, sample_rate: int) -> np.ndarray:
    """Samples (n,) of one utterance or noise clip, at `sample_rate` Hz."""
    return read_audio(clip.path, sample_rate, clip.start_s, clip.end_s)


def read_heard(clip: Clip, features: Features) -> np.ndarray:
    """Samples (n,) of the span of an utterance that the model hears."""
    return heard_span(read_clip(clip, features.sample_rate), features.span, features.pad)
