"""Exported networks as a function: audio in, emotion, probabilities and c out, by ONNX Runtime and without PyTorch."""

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from trnet.config import Features, build_value
from trnet.deploy.archive import DAMAGED, GRAPHS, SER_GRAPH, read_entries
from trnet.deploy.metadata import describe
from trnet.deploy.sliding_window import Answering, Said
from trnet.utils.errors import TrnetError
from trnet.utils.files import is_regular

AGAIN = "pack the model again, or give --engine torch"


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


class OnnxPredictor(Answering):
    """The networks of an exported folder, or the graphs of a model file; the answers are a `Predictor`'s to 3e-4."""

    def __init__(self, path: str | Path) -> None:
        """Load them.

        Raises: TrnetError if ONNX Runtime is missing, what `path` names is of another version or damaged, or the model
            file has no graphs.
        """
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
                describe(path, entries)
                if GRAPHS + SER_GRAPH not in entries:
                    raise TrnetError(f"{path}: was packed without graphs; give --engine torch, or export it")
                self.model = onnx_numpy.Model(lambda name: entries[GRAPHS + name], f"{path}: {GRAPHS}", AGAIN)
            features = build_value(Features, self.model.features, "features")
        except onnx_numpy.Unusable as error:
            raise TrnetError(str(error)) from None
        except (TypeError, ValueError) as error:
            raise TrnetError(f"{self.model.where}config.json: is damaged ({error}); export the model again") from None
        super().__init__(features, self.model.classes, lambda *rates: partial(onnx_numpy.resample, rates=rates))
        self._cores, self._unusable = ThreadPoolExecutor(os.cpu_count()), onnx_numpy.Unusable

    def say(self, clips: list[np.ndarray], names: list[str]) -> list[Said]:
        """What is said of windows, each by one core; see :meth:`Answering.say`."""
        return list(self._cores.map(self._say, clips, names))

    def _say(self, clip: np.ndarray, name: str) -> Said:
        try:
            said = Said(*self.model.window(clip))
        except self._unusable as error:
            raise TrnetError(f"{name}: {error}; use the packed model, by PyTorch") from None
        if not np.isfinite(said.probs).all():
            raise TrnetError(f"{name}: scores are not finite")
        return said
