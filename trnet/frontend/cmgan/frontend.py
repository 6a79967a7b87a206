"""CMGAN between waveforms: the authors' procedure for a file, and a rule where they have none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from trnet.frontend.checkpoint import state_of
from trnet.frontend.cmgan.config import CmganSizes
from trnet.frontend.cmgan.network import TscNet
from trnet.frontend.cmgan.spectral import (
    HOP,
    RATE,
    SHORTEST,
    compress,
    decompress,
    istft,
    pad_to_hop,
    stft,
    unit_rms,
)
from trnet.frontend.cmgan.windows import over_windows
from trnet.frontend.network_config import given_sizes
from trnet.frontend.trainable import TrainableFrontEnd
from trnet.utils.errors import TrnetError

try:
    from trnet.frontend.cmgan import fast as fast_path
except ImportError as error:  # its file can be deleted: everything then comes from the network itself
    if error.name not in ("trnet.frontend.cmgan", "trnet.frontend.cmgan.fast"):
        raise
    fast_path = None

PRECISIONS = ("float32", "tf32", "bf16")


class CmganFrontEnd(TrainableFrontEnd):
    """CMGAN by the letter of its authors' ``enhance_one_track``: clips up to ``window_s`` come out as theirs.

    A clip is brought to RMS 1, lengthened to whole hops by its own first samples, enhanced whole and cut back. Every
    norm and the attention hear the whole clip, so clips of unequal length do not share a batch. Where the authors'
    code has no answer, or one that is better not followed:

    - Longer clips. The authors reshape what is over 16 s into rows that do not overlap: both sides of a cut are the
      ends of a clip to the network, mirrored and without their neighbourhood, which is heard as a seam; lengths such
      as 16.00625 s do not divide and fail, and over 1,600 s the search for a number of rows does not end. Here
      windows of ``window_s``, spread evenly, share ``overlap_s + 2 * context_s`` or more; each hears ``context_s``
      beyond what is kept of it and is cross-faded with the next over ``overlap_s``. The RMS is that of the whole
      clip, as theirs is. The convolutions reach 0.59 s back and 0.40 s ahead; a context of 1 s gives them all of
      that. Norms and attention hear a window, not the clip; within a window they hear all, as in a row of the authors'.
    - Digital silence, NaN in the authors' code, comes out as silence.
    - Clips of 200 samples (12.5 ms) or less, too short to be mirrored, are repeated up to 300 samples.

    However many clips and whatever their length, no more audio than one window is in the network at a time; on a GPU,
    which wants more, ``gpu_seconds``.
    """

    kind = "cmgan"
    sizes_type = CmganSizes

    def __init__(
        self,
        checkpoint: str | None = None,
        init: str | None = None,
        num_channel: int | None = None,
        window_s: float = 16.0,
        overlap_s: float = 1.0,
        context_s: float = 1.0,
        fast: bool = True,
        precision: str = "float32",
        gpu_seconds: float = 160.0,
    ) -> None:
        """Build the network and load it.

        Args:
            checkpoint: the file ``ckpt`` of the authors, a state_dict; also one that holds it under ``state_dict``,
                ``model`` or ``generator``; or a file of the format ``trnet-enh-1``, which tells the channels.
            init: ``"random"`` for an untrained network instead.
            num_channel: channels of the network, a multiple of 4; None: what the checkpoint says, else the paper's 64.
            window_s: longest stretch enhanced at once, seconds, rounded to hops of 1/160 s; 16 with the authors.
            overlap_s: length of the cross-fade of two windows, seconds.
            context_s: what a window hears beyond either end of what is kept of it, seconds.
            fast: the same numbers but for rounding, sooner and in less memory, by
                :mod:`trnet.frontend.cmgan.fast`; False: by the network as it is written.
            precision: of matrix products and convolutions: ``"float32"``; ``"tf32"``, which is float32 but on a GPU;
                ``"bf16"``, for which ``fast`` makes no difference on a CPU.
            gpu_seconds: audio in the network at a time on a GPU, if one window is not longer.

        Raises:
            TrnetError: no weights named, a checkpoint of something else, or an option out of range.
        """
        super().__init__(
            checkpoint,
            init,
            {"num_channel": num_channel},
            window_s=window_s,
            overlap_s=overlap_s,
            context_s=context_s,
            fast=fast,
            precision=precision,
            gpu_seconds=gpu_seconds,
        )
        self.window = HOP * round(_seconds("window_s", window_s) * RATE / HOP)
        self.overlap = max(1, round(_seconds("overlap_s", overlap_s) * RATE))
        self.context = round(_seconds("context_s", context_s) * RATE)
        if self.window < max(SHORTEST, self.overlap + 2 * self.context + HOP):
            raise TrnetError(
                f"front-end cmgan: frontend_conf.window_s is {window_s}: give more than overlap_s + 2 * context_s, "
                f"{overlap_s} + 2 * {context_s}, and {SHORTEST / RATE} s at least"
            )
        if type(fast) is not bool:
            raise TrnetError(f"front-end cmgan: frontend_conf.fast is {fast!r}: give true or false")
        if precision not in PRECISIONS:
            raise TrnetError(
                f"front-end cmgan: frontend_conf.precision is {precision!r}: give one of {', '.join(PRECISIONS)}"
            )
        self.fast, self.precision = fast and fast_path is not None, precision
        self.gpu_samples = round(_seconds("gpu_seconds", gpu_seconds) * RATE)

    def make_network(self, sizes: CmganSizes) -> TscNet:
        """The untrained network of these sizes: spectra in and out."""
        return TscNet(sizes.num_channel)

    def foreign(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Sizes, which the options say, and state_dict of a checkpoint of the authors'."""
        if isinstance(loaded, dict) and "format" in loaded:
            return None
        sizes = given_sizes(CmganSizes, self.kind, {"num_channel": self.conf["num_channel"]})
        return asdict(sizes), state_of(loaded, path, wrappers=("state_dict", "model", "generator"))

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        scaled, rms = unit_rms(wav)
        padded = pad_to_hop(scaled)
        if padded.shape[1] <= self.window:
            out = self._enhance(padded)
        else:
            out = over_windows(padded, self._enhance, self.window, self.overlap, self.context, HOP)
        return out[:, : wav.shape[1]] * rms

    def _enhance(self, wav: Tensor) -> Tensor:
        """(clips, whole hops) to the same shape, one window's worth of audio at a time, or ``gpu_seconds``.

        Where a GPU has not the memory for that, half as much.
        """
        samples = max(self.window, self.gpu_samples) if wav.is_cuda else self.window
        rows = min(len(wav), max(1, samples // wav.shape[1]))
        while True:
            try:
                return torch.cat([self._pass(clips) for clips in wav.split(rows)])
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
            rows //= 2

    def _pass(self, wav: Tensor) -> Tensor:
        """(clips, whole hops) to the same shape, all at once."""
        spec = compress(stft(wav))
        on_cpu = wav.device.type == "cpu"
        if self.fast and on_cpu and self.precision != "bf16":
            real, imag = fast_path.forward(self.network, spec)
        else:
            with _precise(self.precision, wav.device.type):
                if self.fast and not on_cpu:
                    with fast_path.fused_attention(self.network):
                        real, imag = self.network(spec)
                else:
                    real, imag = self.network(spec)
        return istft(decompress(real.float(), imag.float()))


@contextmanager
def _precise(precision: str, device: str) -> Iterator[None]:
    """Matrix products and convolutions as ``precision`` says while this lasts."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed, allowed
    try:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _seconds(key: str, value: float) -> float:
    """Refuse an option that is no finite number of seconds, 0 or more."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise TrnetError(f"front-end cmgan: frontend_conf.{key} is {value!r}: give seconds")
    return float(value)
