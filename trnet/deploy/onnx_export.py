"""The networks of a packed model as ONNX: the emotion recogniser from log-mels to logits, the front-end between waves.

Log-mels and windows stay outside: `onnx_numpy.py` has them in NumPy. Batch and length are free; the clips of a batch
are of one length. The exporter is the one that traces (``dynamo=False``): the other unrolls recurrent layers to the
length of the example.
"""

import hashlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from trnet.deploy.archive import FRONTEND_GRAPH, GRAPH_CONFIG, SER_GRAPH, json_bytes, origin_of
from trnet.deploy.metadata import graph_metadata
from trnet.deploy.model_file import ModelFile
from trnet.deploy.onnx_frontends import graph_of
from trnet.frontend import FrontEnd
from trnet.model.frames import ValidFrames
from trnet.model.trnet import TRNet
from trnet.utils.errors import TrnetError, first_line, missing_package

FORMAT, VERSION = "trnet-onnx", 2
OPSET = 17
STDOUT = 1  # its file descriptor


class WholeFrames(ValidFrames):
    """The frames of a batch without padding: nothing to mask, so that no shape hangs on the data."""

    @classmethod
    def of(cls, x: Tensor) -> "WholeFrames":
        """Those of x (B, T, F)."""
        lengths = torch.full((x.shape[0],), x.shape[1], dtype=torch.long, device=x.device)
        return cls(lengths, x.shape[1], x.device)

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True everywhere."""
        return torch.ones(self.counts.shape[0], self.total, dtype=torch.bool, device=self.device)

    def resized(self, counts: Tensor, total: int) -> "WholeFrames":
        """The frames after a strided layer."""
        return WholeFrames(counts, total, self.device)

    def zero(self, x: Tensor) -> Tensor:
        """x as it is."""
        return x

    def pack(self, x: Tensor) -> Tensor:
        """x (B, C, T, F) as rows (B * T * F, C)."""
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def unpack(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (B * T * F, C) back as (B, C, T, F)."""
        return rows.reshape(self.counts.shape[0], self.total, bins, rows.shape[1]).permute(0, 3, 1, 2)


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


class NoGraph(TrnetError):
    """A network that ONNX cannot express."""


def graphs_of(model: ModelFile, trust: bool = False) -> dict[str, bytes]:
    """``ser.onnx``, ``config.json`` and, where there is a graph of the front-end, ``frontend.onnx``.

    Raises:
        NoGraph: ONNX cannot express one of the two.
        TrnetError: A package is missing, or the model does not fit together.
    """
    if find_spec("onnx") is None:
        raise missing_package("onnx", "export")
    network, frontend = model.make_network(), model.make_frontend(trust)
    kinds = ("noisy", "enhanced") if model.system.input == "both" else (model.system.input,)
    example = tuple(torch.zeros(2, 61, model.config.features.num_mel_bins) for _ in kinds)
    wrap, outputs = (BothInputs, ("logits", "c")) if model.system.input == "both" else (OneInput, ("logits",))
    with _said_of(f"the network {type(network).__name__} of {model.name}"):
        graphs = {SER_GRAPH: _graph(wrap(network), example, kinds, "frames", outputs, ())}
    if (graph := frontend_graph(frontend, model.config.features.span)) is not None:
        graphs[FRONTEND_GRAPH] = graph
    name = None if frontend is None else frontend.name
    config = {
        "format": FORMAT,
        "version": VERSION,
        **graph_metadata(model.name, model.system, model.config, model.classes, name),
        "sha256": {name: hashlib.sha256(body).hexdigest() for name, body in graphs.items()},
        "made_from": origin_of(model.entries()),
    }
    return graphs | {GRAPH_CONFIG: json_bytes(config)}


def frontend_graph(frontend: FrontEnd | None, longest: int) -> bytes | None:
    """A front-end, ``wav`` (batch, samples) to ``enhanced`` (batch, samples); None where there is no graph for it.

    `longest`: samples of the longest clip that it is to enhance.

    Raises: NoGraph if ONNX cannot express it.
    """
    module = graph_of(frontend, longest)
    if module is None:
        return None
    with _said_of(f"the front-end {frontend.name}"):
        return _graph(module, (torch.zeros(2, 4111),), ("wav",), "samples", ("enhanced",), ("enhanced",))


@contextmanager
def _said_of(part: str) -> Iterator[None]:
    """Turn whatever the exporter raises into one line about a part of the model."""
    try:
        yield
    except Exception as error:  # its own, and what traced code raises
        raise NoGraph(
            f"ONNX cannot express {part} ({first_line(error)}); use the packed model without graphs, by PyTorch"
        ) from None


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Nothing goes to standard output, where PyTorch's C++ code writes all of a graph that it cannot express."""
    if sys.stdout is None:  # it is closed
        yield
        return
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), STDOUT)
        yield
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)


def _graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    axis: str,
    outputs: tuple[str, ...],
    lasting: tuple[str, ...],
) -> bytes:
    """One network; every input and the outputs `lasting` have time, counted in `axis`, as their second axis."""
    axes = {name: {0: "batch", 1: axis} for name in (*inputs, *lasting)}
    axes |= {name: {0: "batch"} for name in outputs if name not in lasting}
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), _nothing_printed():
        warnings.simplefilter("ignore")  # of tracing: checked against the network by tests at several lengths
        torch.onnx.export(
            module.eval(),
            example,
            file,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
