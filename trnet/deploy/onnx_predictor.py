"""Exported networks as a function: audio in, emotion, probabilities and c out, by ONNX Runtime and without PyTorch."""

from functools import partial
from pathlib import Path

import numpy as np

from trnet.config import Features
from trnet.deploy.answering import Answering, Said
from trnet.errors import TrnetError

SER = "ser.onnx"


def is_exported(path: str | Path) -> bool:
    """Whether a folder is what `trnet.bin.export` wrote."""
    return (Path(path) / SER).is_file()


class OnnxPredictor(Answering):
    """The networks of a folder that `trnet.bin.export` wrote; the answers are a `Predictor`'s to 1e-3."""

    def __init__(self, folder: str | Path) -> None:
        """Load them.

        Raises: TrnetError if ONNX Runtime is missing, the folder is of another version, or a file of it is damaged.
        """
        try:
            from trnet.deploy import onnx_numpy  # here, as ONNX Runtime may be missing
        except ModuleNotFoundError:
            raise TrnetError("the package onnxruntime is not installed: pip install 'trnet[export]'") from None
        try:
            self.model = onnx_numpy.Model(Path(folder))
            features = Features(**self.model.features)
        except onnx_numpy.Unusable as error:
            raise TrnetError(str(error)) from None
        except (TypeError, ValueError) as error:
            raise TrnetError(f"{folder}/config.json: is damaged ({error}); export the model again") from None
        super().__init__(features, self.model.classes, lambda *rates: partial(onnx_numpy.resample, rates=rates))

    def say(self, clips: list[np.ndarray], names: list[str]) -> list[Said]:
        """What is said of windows, one after the other; see :meth:`Answering.say`."""
        said = [Said(*self.model.window(clip)) for clip in clips]
        for name, each in zip(names, said, strict=True):
            if not np.isfinite(each.probs).all():
                raise TrnetError(f"{name}: scores are not finite")
        return said
