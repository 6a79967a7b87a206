"""Exported networks as a function: audio in, emotion, probabilities and c out, by ONNX Runtime and without PyTorch."""

import contextlib
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from trnet.config import Fbank, build
from trnet.deploy.archive import DAMAGED, GRAPHS, SER_GRAPH, read_entries
from trnet.deploy.metadata import NeedsTrust, read_model_settings
from trnet.deploy.packed_upstream import PackedUpstream
from trnet.deploy.sliding_window import SlidingWindowPredictor, WindowScores
from trnet.utils.errors import TrnetError
from trnet.utils.files import is_regular
from trnet.utils.numbers import whole

ADVICE = "pack the model again, or give --engine torch"


def is_exported(path: str | Path) -> bool:
    """Whether a folder is what `trnet.bin.export` wrote."""
    return (Path(path) / SER_GRAPH).is_file()


def has_graphs(path: Path) -> bool:
    """Whether a model file was packed with graphs; False also for what is no model file."""
    if not is_regular(path):
        return False
    try:
        with zipfile.ZipFile(path) as packed:
            return GRAPHS + SER_GRAPH in packed.namelist()
    except DAMAGED:
        return False


class OnnxPredictor(SlidingWindowPredictor):
    """The networks of an exported folder, or the graphs of a model file; predictions are a `Predictor`'s to 3e-4."""

    def __init__(self, path: str | Path) -> None:
        try:
            from trnet.deploy import onnx_numpy  # here, as ONNX Runtime may be missing
        except ModuleNotFoundError:
            raise TrnetError("the package onnxruntime is not installed: pip install 'trnet[export]'") from None
        path = Path(path)
        try:
            if path.is_dir():
                self.model = onnx_numpy.Model.of(path)
            else:
                entries = read_entries(path)
                with contextlib.suppress(NeedsTrust):  # graphs run no code of the parts
                    read_model_settings(path, entries)
                if GRAPHS + SER_GRAPH not in entries:
                    raise TrnetError(f"{path}: was packed without graphs; give --engine torch, or export it")
                self.model = onnx_numpy.Model(lambda name: entries[GRAPHS + name], f"{path}: {GRAPHS}", ADVICE)
        except onnx_numpy.Unusable as error:
            raise TrnetError(str(error)) from None
        try:
            kind: type[Fbank] | type[PackedUpstream] = Fbank if self.model.upstream is None else PackedUpstream
            features = build(kind, self.model.features, "features")
            shortest = whole(self.model.conf.get("shortest", 1), 1)
        except TrnetError as error:
            raise TrnetError(f"{self.model.where}config.json: is damaged ({error}); export the model again") from None
        frames = features.num_frames if isinstance(features, Fbank) else lambda samples: samples // shortest
        super().__init__(features, self.model.classes, frames)
        self._cores, self._unusable = ThreadPoolExecutor(os.cpu_count()), onnx_numpy.Unusable

    def score_windows(self, clips: list[np.ndarray], names: list[str]) -> list[WindowScores]:
        """Each window by one core; see :meth:`SlidingWindowPredictor.score_windows`."""
        return list(self._cores.map(self._score_window, clips, names))

    def _score_window(self, clip: np.ndarray, name: str) -> WindowScores:
        try:
            scores = WindowScores(*self.model.window(clip))
        except self._unusable as error:
            raise TrnetError(f"{name}: {error}; use the packed model, by PyTorch") from None
        if not np.isfinite(scores.probs).all():
            raise TrnetError(f"{name}: scores are not finite")
        return scores
