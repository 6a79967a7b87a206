"""The front-end ``cmgan``: the authors' procedure for a file, with rules where it fails."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from trnet.frontend.base import check_option
from trnet.frontend.checkpoint import state_of
from trnet.frontend.cmgan import fast as fast_path
from trnet.frontend.cmgan.config import CmganConfig
from trnet.frontend.cmgan.network import TscNet
from trnet.frontend.cmgan.spectral import HOP, RATE, SHORTEST, compress, decompress, istft, pad_to_hop, stft, unit_rms
from trnet.frontend.cmgan.windows import over_windows
from trnet.frontend.network_config import given_config
from trnet.frontend.trainable import TrainableFrontEnd
from trnet.utils.compiled import compile_cache
from trnet.utils.errors import TrnetError

log = logging.getLogger(__name__)

Generate = Callable[[Tensor], tuple[Tensor, Tensor]]
Precision = Literal["float32", "tf32", "bf16"]
PRECISIONS = get_args(Precision)
DEVICE_ERRORS = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))
LONGEST_S = 1e6  # of the options in seconds
KERNEL_CHANNELS = 64  # of the networks that `gpu.py` serves
BYTES_A_SAMPLE = 8192  # of memory that a GPU needs at most for a sample in the network


class CmganFrontEnd(TrainableFrontEnd):
    """CMGAN by its authors' ``enhance_one_track``: clips up to ``window_s`` get exactly their output.

    A clip is scaled to RMS 1, padded to whole hops with its own first samples, enhanced whole and cut back. Every norm
    and the attention span the whole clip, so clips of unequal length do not share a batch. Where the authors' code
    fails, or is better not followed:

    - Longer clips. The authors reshape clips over 16 s into rows without overlap: the network mirrors both sides of a
      cut and lacks their context, which is audible as a seam; lengths such as 16.00625 s do not divide and fail, and
      over 1,600 s the search for a number of rows does not end. Here windows of ``window_s``, spread evenly, overlap by
      ``overlap_s + 2 * context_s`` or more; ``context_s`` at either end is discarded, and neighbours are cross-faded
      over ``overlap_s``. The RMS is that of the whole clip, as in the authors' code. The convolutions reach 0.59 s back
      and 0.40 s ahead, within a context of 1 s. Norms and attention span a window, as they span a row of the authors'.
    - Digital silence, NaN in the authors' code, stays silence.
    - Clips of 200 samples (12.5 ms) or less, too short to be mirrored, are repeated up to 300 samples.

    The network processes at most one window of audio at a time; on a GPU, ``gpu_seconds`` or what its memory holds.
    """

    kind = "cmgan"
    config_type = CmganConfig
    network: TscNet

    def __init__(
        self,
        checkpoint: str | None = None,
        init: str | None = None,
        num_channel: int | None = None,
        window_s: float = 16.0,
        overlap_s: float = 1.0,
        context_s: float = 1.0,
        fast: bool = True,
        precision: Precision = "float32",
        gpu_seconds: float = 160.0,
    ) -> None:
        """Build the network and load it.

        Args:
            checkpoint: the authors' file ``ckpt``, a state_dict; a file with the state_dict under ``state_dict``,
                ``model`` or ``generator``; or a file of the format ``trnet-enh-1``, which has ``num_channel``.
            init: ``"random"`` for an untrained network instead.
            num_channel: channels of the network, a multiple of 4; None: as in the checkpoint, or the paper's 64.
            window_s: longest stretch enhanced at once, seconds, rounded to hops of 1/160 s; the authors' is 16.
            overlap_s: length of the cross-fade of two windows, seconds.
            context_s: what is discarded at either end of a window, seconds.
            fast: the same output but for rounding, faster and in less memory, by :mod:`trnet.frontend.cmgan.fast`, on a
                GPU by :mod:`trnet.frontend.cmgan.gpu`; False: by the network as it is written.
            precision: of matrix products and convolutions: ``"float32"``; ``"tf32"``, on a GPU only; ``"bf16"``, which
                excludes ``fast`` on a CPU.
            gpu_seconds: audio in the network at a time on a GPU, if more than a window.

        Raises:
            TrnetError: If no weights are named, the checkpoint is of another network, or an option is out of range.
        """
        options = {"window_s": window_s, "overlap_s": overlap_s, "context_s": context_s, "gpu_seconds": gpu_seconds}
        super().__init__(checkpoint, init, {"num_channel": num_channel}, **options, fast=fast, precision=precision)
        seconds = {key: check_option("cmgan", key, value, 0, LONGEST_S) for key, value in options.items()}
        self.window = HOP * round(seconds["window_s"] * RATE / HOP)
        self.overlap = max(1, round(seconds["overlap_s"] * RATE))
        self.context = round(seconds["context_s"] * RATE)
        if self.window < max(SHORTEST, self.overlap + 2 * self.context + HOP):
            raise TrnetError(
                f"front-end cmgan: frontend_conf.window_s is {window_s}: give more than overlap_s + 2 * context_s, "
                f"{overlap_s} + 2 * {context_s}, and {SHORTEST / RATE} s at least"
            )
        self.fast, self.precision = fast, precision
        self.gpu_samples = round(seconds["gpu_seconds"] * RATE)
        self._kernels: tuple[Any, Generate] | None = None  # the network on a GPU, and the weights it was made from
        self._without_kernels = False

    def make_network(self, config: CmganConfig) -> TscNet:
        """The untrained network: spectra in and out."""
        return TscNet(config.num_channel)

    def published_parts(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """State_dict of a checkpoint of the authors', and its configuration, which only the options hold."""
        if isinstance(loaded, dict) and "format" in loaded:
            return None
        config = given_config(CmganConfig, self.kind, {"num_channel": self.conf["num_channel"]})
        return config.plain(), state_of(loaded, path, wrappers=("state_dict", "model", "generator"))

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
        """(clips, whole hops) to the same shape, as many at a time as a window, ``gpu_seconds`` or the memory allow."""
        samples = self.window
        if wav.is_cuda:
            samples = max(samples, min(self.gpu_samples, _free(wav.device) // BYTES_A_SAMPLE))
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
            real, imag = fast_path.fast_forward(self.network, spec)
        elif self.fast and not on_cpu:
            real, imag = self._by_kernels(spec) or self._fused(spec)
        else:
            with _precise(self.precision, wav.device.type):
                real, imag = self.network(spec)
        return istft(decompress(real.float(), imag.float()))

    def _fused(self, spec: Tensor) -> tuple[Tensor, Tensor]:
        """The network on a GPU by PyTorch's operations, fused where it has such."""
        with _precise(self.precision, spec.device.type), fast_path.fused_attention(self.network):
            return self.network(spec)

    def train(self, mode: bool = True) -> "CmganFrontEnd":
        """Stay in eval mode; weights may have been trained since, by an optimizer that leaves no trace in them."""
        self._kernels = None
        super().train(mode)
        return self

    def _by_kernels(self, spec: Tensor) -> tuple[Tensor, Tensor] | None:
        """The network on a GPU by :mod:`trnet.frontend.cmgan.gpu`; None, logged once, where that does not run."""
        if self._without_kernels or self.network_config.num_channel != KERNEL_CHANNELS:
            return None
        try:
            return self._generator()(spec)
        except DEVICE_ERRORS:
            raise
        except Exception as error:  # of Triton, its compilers or the driver: there is no end of them
            if "out of memory" in str(error):  # as Triton says it
                raise torch.OutOfMemoryError(str(error)) from error
            why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            log.warning("front-end cmgan: its kernels do not run here (%s): PyTorch does their work, slower", why)
            self._without_kernels = True
            return None

    def _generator(self) -> Generate:
        """The network's kernels with the weights as they are now."""
        weights = [*self.network.parameters(), *self.network.buffers()]
        state = [(w.data_ptr(), None if w.is_inference() else w._version) for w in weights]
        if self._kernels is None or self._kernels[0] != state or None in (version for _, version in state):
            compile_cache()
            from trnet.frontend.cmgan.gpu import Generator  # needs Triton

            self._kernels = state, Generator(self.network, self.precision)
        return self._kernels[1]


def _free(device: torch.device) -> int:
    """Bytes of a GPU's memory that are free, or kept by PyTorch and unused."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


@contextmanager
def _precise(precision: Precision, device: str) -> Iterator[None]:
    """Set the precision of matrix products and convolutions within the block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed, allowed
    try:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
