"""What front-ends share whose models come from another toolkit: its own loader, its own rate, one clip at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.checkpoint import files_sha256
from trnet.frontend.native_rate import NativeRateFrontEnd
from trnet.frontend.packages import package_version
from trnet.utils.errors import TrnetError

SHORTEST_S = 0.1
"""Shorter clips are filled up with zeros for the model: windows and strides have to fit in."""


class PretrainedFrontEnd(NativeRateFrontEnd):
    """A one-source model of another toolkit, loaded by that toolkit.

    A subclass names its ``toolkit`` and writes :meth:`load` and :meth:`apply`.
    """

    toolkit: str
    """Name of the front-end and of the distribution."""
    path_options = ("model",)

    def __init__(
        self,
        model: str,
        native_rate: int | None = None,
        level_dbfs: float | None = None,
        fit_scale: bool = True,
    ) -> None:
        """Load the model.

        Args:
            model: what the toolkit's loader takes: a path, or the id of a model on its hub.
            native_rate: rate of the model, Hz; None: what the model says.
            level_dbfs: bring each clip to this RMS, dB re full scale, for the model and back after it; None: as it is.
            fit_scale: scale each clip that comes out so that it is the nearest to the one that went in: models trained
                on SI-SDR give any scale. False: leave the scale to the model.

        Raises:
            TrnetError: toolkit missing, a model it does not load, or one that does not say its rate.
        """
        super().__init__(self.toolkit, level_dbfs)
        self.fit_scale = fit_scale
        try:
            self.network, rate = self.load(model)
        except TrnetError:
            raise
        except Exception as error:  # each toolkit and its hub raise their own
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise TrnetError(
                f"front-end {self.toolkit}: model {model!r} does not load ({reason[:300]}): give the path or the hub "
                "id of a model of this toolkit as frontend_conf.model"
            ) from error
        if not (native_rate or rate):
            raise TrnetError(
                f"front-end {self.toolkit}: model {model!r} does not say its sampling rate: set "
                "frontend_conf.native_rate, Hz"
            )
        self.native_rate = int(native_rate or rate)
        self.package = package_version(self.toolkit)
        if Path(model).exists():
            self.checkpoint_sha256 = files_sha256(self.files(Path(model)))

    def load(self, model: str) -> tuple[nn.Module, Any]:
        """Load a model, on the CPU.

        Returns:
            Its network, and its sampling rate, Hz (None if it does not say).
        """
        raise NotImplementedError(f"{type(self).__name__} has to define load(model)")

    def apply(self, clips: Tensor) -> Tensor:
        """Run the model.

        Args:
            clips: (1, samples) float32 at ``native_rate``.

        Returns:
            (sources, samples) of that length.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define apply(clips)")

    def files(self, model: Path) -> dict[str, Path]:
        """The files of a local model by name, all that its answer depends on: those of a folder, or the one file."""
        if model.is_file():
            return {"model": model}
        inside = {str(path.relative_to(model)): path for path in model.rglob("*") if path.is_file()}
        return {name: path for name, path in inside.items() if not name.startswith(".")}

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """(samples,) to the same shape; ``native_rate``."""
        missing = max(0, round(SHORTEST_S * self.native_rate) - len(clip))
        clips = functional.pad(clip, (0, missing))[None]
        got = self.apply(clips)
        if got.shape != clips.shape:
            raise TrnetError(
                f"front-end {self.toolkit}: the model makes {tuple(got.shape)} (sources, samples) of {len(clips[0])} "
                "samples: give a model of one source that keeps the length"
            )
        return got[0, : len(clip)]
