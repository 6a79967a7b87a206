"""The networks of a packed model as ONNX: the emotion recogniser from log-mels to logits, the front-end between waves.

Log-mels and windows stay outside: `onnx_numpy.py` has them in NumPy. Batch and length are free; the clips of a batch
are of one length. A model on hidden states has a third graph, of the network behind them. The exporter is the one that
traces (``dynamo=False``): the other unrolls recurrent layers to the length of the example.
"""

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.config import Fbank
from trnet.deploy.archive import FRONTEND_GRAPH, GRAPH_CONFIG, SER_GRAPH, UPSTREAM_GRAPH, json_bytes, origin_of
from trnet.deploy.metadata import graph_metadata
from trnet.deploy.model_file import ModelFile
from trnet.deploy.onnx_frontends import graph_of
from trnet.deploy.onnx_upstream import states_module
from trnet.deploy.packed_upstream import PackedUpstream
from trnet.features import Extractor, feature_dim, make_extractor
from trnet.features.upstream import UpstreamExtractor
from trnet.frontend import FrontEnd
from trnet.model.batch import Batch
from trnet.model.feature_scale import scaled_batch
from trnet.model.frames import ValidFrames
from trnet.model.snr_gate import SNRGate
from trnet.utils.errors import TrnetError, first_line, missing_package

FORMAT, VERSION = "trnet-onnx", 2
OPSET = 17
MELS = "_mels"  # ends the names of log-mels beside other features
STDOUT = 1  # its file descriptor


class WholeFrames(ValidFrames):
    """The frames of a batch without padding: nothing to mask, so that no shape depends on the data."""

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


class WholeBatch(Batch):
    """A batch of utterances of one length."""

    @cached_property
    def frames(self) -> ValidFrames:
        """All frames of its features."""
        return self._frames(WholeFrames)

    @cached_property
    def mel_frames(self) -> ValidFrames:
        """All frames of what the gate reads."""
        return self._mel_frames(WholeFrames)


class SystemGraph(nn.Module):
    """A system as a function of tensors: features (B, T, F) of each of its inputs to logits (B, classes) and, where it
    has it, c (B,). Where the gate reads log-mels beside other features, those are inputs, too.
    """

    def __init__(self, system: nn.Module, beside: bool = False) -> None:
        super().__init__()
        self.system = system
        inputs: Sequence[str] = system.inputs  # type: ignore[assignment]  # see trnet.model.systems.System
        self.inputs = (*inputs, *(f"{name}{MELS}" for name in inputs if beside))
        for module in system.modules():
            if isinstance(module, SNRGate):
                module.returning = False  # the same forward, and ONNX has a name for it

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """As above, in the order of `inputs`."""
        size, frames = features[0].shape[:2]
        lengths = torch.full((size,), frames, dtype=torch.long)
        given: dict[str, Any] = dict(zip(self.inputs, features, strict=True))
        if len(mels := [x for name, x in given.items() if name.endswith(MELS)]):
            given["mel_lengths"] = torch.full((size,), mels[0].shape[1], dtype=torch.long)
        batch = WholeBatch((), lengths, torch.zeros_like(lengths), **given)
        output = self.system(scaled_batch(self.system, batch))
        return (output.logits,) if output.c is None else (output.logits, output.c)


class NoGraph(TrnetError):
    """A network that ONNX cannot express."""


def graphs_of(model: ModelFile, trust: bool = False, upstream: str | Path | None = None) -> dict[str, bytes]:
    """``ser.onnx``, ``config.json`` and, where there is a graph of the front-end, ``frontend.onnx``.

    Of a model on hidden states also ``upstream.onnx``; `upstream`: folder of that network, see `open_upstream`.

    Raises:
        NoGraph: If ONNX cannot express one of them, TrnetError if a package is missing, or parts do not fit.
    """
    if find_spec("onnx") is None:
        raise missing_package("onnx", "export")
    features, mels = model.settings.features, model.settings.gate_features
    if not isinstance(features, Fbank | PackedUpstream):
        raise NoGraph(f"ONNX graphs take log-mels (fbank), not {features.type}; use the packed model, by PyTorch")
    if model.settings.mixes_waveforms:
        raise NoGraph(
            f"{model.settings.name} mixes waveforms (gate.mix), for which there is no ONNX graph; "
            "use the packed model, by PyTorch"
        )
    network, frontend = model.make_network(), model.make_frontend(trust)
    with _reported(f"the network {type(network).__name__} of {model.settings.name}"):
        graph = SystemGraph(network, beside=mels is not None)
        beside = (123, mels.num_mel_bins if mels else 0)
        sizes = [beside if name.endswith(MELS) else (61, feature_dim(features)) for name in graph.inputs]
        example = tuple(torch.zeros(2, *size) for size in sizes)
        with torch.no_grad():
            outputs = ("logits", "c")[: len(graph(*example))]
        graphs = {SER_GRAPH: _export(graph, example, tuple(graph.inputs), "frames", outputs)}
    if (body := frontend_graph(frontend, features.span)) is not None:
        graphs[FRONTEND_GRAPH] = body
    more: dict[str, Any] = {}
    if isinstance(features, PackedUpstream):
        extractor = model.make_extractor(upstream)
        graphs[UPSTREAM_GRAPH] = upstream_graph(extractor, features)
        reads = [each.num_frames for each in (extractor, *([make_extractor(mels)] if mels else []))]
        shortest = next(n for n in range(1, features.span + 1) if all(count(n) for count in reads))
        more = {"gate_features": mels and mels.plain(), "shortest": shortest}
    config = {
        "format": FORMAT,
        "version": VERSION,
        **graph_metadata(model.settings.plain()),
        **more,
        "sha256": {name: hashlib.sha256(body).hexdigest() for name, body in graphs.items()},
        "made_from": origin_of(model.entries()),
    }
    return graphs | {GRAPH_CONFIG: json_bytes(config)}


def upstream_graph(extractor: Extractor, features: PackedUpstream) -> bytes:
    """A pretrained network, ``wav`` (batch, samples) to ``states`` (batch, frames, dim).

    Raises:
        NoGraph: If ONNX cannot express it.
    """
    module = states_module(extractor) if isinstance(extractor, UpstreamExtractor) else None
    if module is None or features.max_seconds > features.window:
        why = "reads an utterance in several windows" if module else f"is of type {features.family}"
        raise NoGraph(f"{features.model}: {why}, for which there is no ONNX graph; use the packed model, by PyTorch")
    with _reported(f"the network {features.model}"):
        return _export(module, (0.1 * torch.randn(2, 16111),), ("wav",), "samples", ("states",), ("states",))


def frontend_graph(frontend: FrontEnd | None, longest: int) -> bytes | None:
    """A front-end, ``wav`` (batch, samples) to ``enhanced`` (batch, samples); None where there is no graph for it.

    `longest`: samples of the longest clip that it is to enhance.

    Raises:
        NoGraph: If ONNX cannot express it.
    """
    module = graph_of(frontend, longest)
    if frontend is None or module is None:
        return None
    with _reported(f"the front-end {frontend.name}"):
        return _export(module, (torch.zeros(2, 4111),), ("wav",), "samples", ("enhanced",), lasting=("enhanced",))


@contextmanager
def _reported(part: str) -> Iterator[None]:
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


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    axis: str,
    outputs: tuple[str, ...],
    lasting: tuple[str, ...] = (),
) -> bytes:
    """One network; every input and the outputs `lasting` have time, counted in `axis`, as their second axis."""
    axes = {name: {0: "batch", 1: f"{axis}{MELS}" if name.endswith(MELS) else axis} for name in inputs}
    axes |= {name: {0: "batch", 1: "frames" if name == "states" else axis} for name in lasting}
    axes |= {name: {0: "batch"} for name in outputs if name not in lasting}
    with warnings.catch_warnings(), torch.no_grad(), _nothing_printed(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of tracing: checked against the network by tests at several lengths
        file = Path(folder, "graph.onnx")
        torch.onnx.export(
            module.eval(),
            example,
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return file.read_bytes()
