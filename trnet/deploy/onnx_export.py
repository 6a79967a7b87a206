"""The networks of a packed model as ONNX: the emotion recogniser between log-mels and logits, GTCRN between spectra.

Fourier transforms, log-mels and windows stay outside: `onnx_numpy.py` has them in NumPy. Batch and frames are
free; the clips of a batch are of one length, and the plain encoder halves them: two frames for each of its halvings at
least. The exporter is the one that traces (``dynamo=False``): the other unrolls
recurrent layers to the length of the example.
"""

import hashlib
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.deploy.archive import json_bytes
from trnet.deploy.model_file import ModelFile
from trnet.deploy.onnx_predictor import SER
from trnet.errors import TrnetError
from trnet.files import whole_file, write_bytes
from trnet.frontend import FrontEnd
from trnet.frontend.gtcrn import HOP, N_FFT, Gtcrn, GtcrnFrontEnd
from trnet.model.frames import ValidFrames
from trnet.model.trnet import TRNet
from trnet.sections import as_dict

FORMAT, VERSION = "trnet-onnx", 1
CONFIG, FRONTEND = "config.json", "frontend.onnx"
OPSET = 17


class WholeFrames(ValidFrames):
    """The frames of a batch without padding: nothing to mask, so that no shape hangs on the data."""

    @classmethod
    def of(cls, x: Tensor) -> "WholeFrames":
        """Those of x (B, T, F)."""
        lengths = torch.full((x.shape[0],), x.shape[1], dtype=torch.long, device=x.device)
        return cls(lengths, x.shape[1])

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True everywhere."""
        return torch.ones(self.lengths.shape[0], self.total, dtype=torch.bool, device=self.lengths.device)

    def resized(self, lengths: Tensor, total: int) -> "WholeFrames":
        """The frames after a strided layer."""
        return WholeFrames(lengths, total)

    def zero(self, x: Tensor) -> Tensor:
        """x as it is."""
        return x

    def pack(self, x: Tensor) -> Tensor:
        """x (B, C, T, F) as rows (B * T * F, C)."""
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def unpack(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (B * T * F, C) back as (B, C, T, F)."""
        return rows.reshape(self.lengths.shape[0], self.total, bins, rows.shape[1]).permute(0, 3, 1, 2)


class BothInputs(nn.Module):
    """TRNet: noisy and enhanced log-mels (B, T, F) to logits (B, classes) and c (B,)."""

    def __init__(self, network: TRNet) -> None:
        super().__init__()
        self.network = network
        network.gate.returning = False  # forward it is the same, and ONNX has a name for it

    def forward(self, noisy: Tensor, enhanced: Tensor) -> tuple[Tensor, Tensor]:
        """As above."""
        frames = WholeFrames.of(noisy)
        c, compensated = self.network.gate(noisy, enhanced, frames)
        h = self.network.ser.represent(compensated, frames)
        if self.network.bridge is not None:
            h = self.network.bridge(h, c)
        return self.network.ser.classifier(h), c


class OneInput(nn.Module):
    """A baseline: log-mels (B, T, F) to logits (B, classes)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """As above."""
        return self.network.classifier(self.network.represent(features, WholeFrames.of(features)))


class Spectra(nn.Module):
    """GTCRN: real and imaginary parts (B, T, 257) of a spectrum to those of the enhanced one."""

    def __init__(self, network: Gtcrn) -> None:
        super().__init__()
        self.network = network

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """As above."""
        mask = self.network.mask(real, imag)
        return real * mask[:, 0] - imag * mask[:, 1], real * mask[:, 1] + imag * mask[:, 0]


def export_model(model: ModelFile, out: Path, trust: bool = False) -> list[Path]:
    """Write ``ser.onnx``, ``config.json`` and, where the front-end is GTCRN, ``frontend.onnx`` into a folder.

    Returns: what was written.

    Raises: TrnetError if a package is missing, or the model does not fit together.
    """
    if find_spec("onnx") is None:
        raise TrnetError("the package onnx is not installed: pip install 'trnet[export]'")
    network, frontend = model.make_network(), model.make_frontend(trust)
    kinds = ("noisy", "enhanced") if model.system.input == "both" else (model.system.input,)
    example = tuple(10 + 3 * torch.randn(2, 61, model.config.features.num_mel_bins) for _ in kinds)
    wrapped = BothInputs(network) if model.system.input == "both" else OneInput(network)
    outputs = ("logits", "c") if model.system.input == "both" else ("logits",)
    written = [_export(wrapped, example, kinds, outputs, (), out / SER)]
    if isinstance(frontend, GtcrnFrontEnd):
        spectrum = (torch.randn(2, 41, N_FFT // 2 + 1), torch.randn(2, 41, N_FFT // 2 + 1))
        parts = ("enhanced_real", "enhanced_imag")
        written.append(_export(Spectra(frontend.network), spectrum, ("real", "imag"), parts, parts, out / FRONTEND))
    config = {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "input": model.system.input,
        "classes": list(model.classes),
        "features": as_dict(model.config.features),
        "frontend": _frontend_section(frontend),
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written},
    }
    write_bytes(out / CONFIG, json_bytes(config))
    return [*written, out / CONFIG]


def _frontend_section(frontend: FrontEnd | None) -> dict[str, Any] | None:
    if frontend is None:
        return None
    section: dict[str, Any] = {"name": frontend.name}
    if isinstance(frontend, GtcrnFrontEnd):
        section |= {"file": FRONTEND, "n_fft": N_FFT, "hop": HOP, "level_dbfs": frontend.level_dbfs}
    return section


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    framed: tuple[str, ...],
    path: Path,
) -> Path:
    """One network; `framed` are the outputs that have frames, like every input."""
    axes = {name: {0: "batch", 1: "frames"} for name in (*inputs, *framed)}
    axes |= {name: {0: "batch"} for name in outputs if name not in framed}
    with whole_file(path) as partial, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: checked against the network by tests at several lengths
        torch.onnx.export(
            module.eval(),
            example,
            str(partial),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return path
