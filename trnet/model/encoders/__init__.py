"""Acoustic encoders by name; somebody's own class is named in YAML as ``encoder: {type: package.module:Class}``."""

from typing import Protocol

import torch
from torch import Tensor, nn

from trnet.config.model import EncoderConf as Options
from trnet.model.encoders.convolutional import PlainEncoder, ResidualEncoder
from trnet.model.encoders.ecapa_tdnn import EcapaTdnnEncoder
from trnet.model.encoders.light import LightEncoder
from trnet.model.frames import ValidFrames
from trnet.model.parts import make_part
from trnet.utils.errors import TrnetError


class Encoder(Protocol):
    """What an encoder has; it is an `nn.Module` made as ``Class(dim, **options)``.

    Where its T' frames are not the T of its input it also has ``lengths(counts: Tensor (B,)) -> Tensor (B,)``, the real
    frames that are left of so many. CTC needs ``tapped``, a list of blocks that give maps (B, C, T', F') and their
    `ValidFrames`, with ``tap_lengths(tap, counts)`` and ``tap_dim(tap)``.
    """

    out_dim: int

    def __call__(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """Features (B, T, dim) float32, zero behind each end, and their real frames -> (B, T', out_dim)."""


ENCODERS: dict[str, type[nn.Module]] = {
    "residual": ResidualEncoder,
    "plain": PlainEncoder,
    "light": LightEncoder,
    "ecapa_tdnn": EcapaTdnnEncoder,
}


def make_encoder(dim: int, options: Options) -> nn.Module:
    """The encoder that a section names, for features of `dim` values a frame."""
    return make_part(ENCODERS, options, "encoder", dim)


def encoded_frames(encoder: nn.Module, frames: ValidFrames, y: Tensor) -> ValidFrames:
    """The real frames of what an encoder made, y (B, T', out_dim), of `frames`.

    Raises:
        TrnetError: If T' is not T, and the encoder does not name the frames that are left.
    """
    lengths = getattr(encoder, "lengths", None)
    if lengths is not None:
        return frames.resized(lengths(frames.counts), y.shape[1])
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    if y.ndim == 3 and not tracing and y.shape[1] != frames.total:
        name = type(encoder).__name__
        raise TrnetError(f"{name}: gives {y.shape[1]} frames for {frames.total}; add 'lengths(counts)' to the class")
    return frames
