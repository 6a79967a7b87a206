"""Front-ends whose models come from another toolkit, with its loader and the model's sampling rate."""

from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from trnet.frontend.checkpoint import files_sha256
from trnet.frontend.native_rate import NativeRateFrontEnd
from trnet.frontend.packages import package_version
from trnet.utils.errors import TrnetError

SHORTEST_S = 0.1  # shorter clips are zero-padded for the model, whose windows and strides have to fit in


class PretrainedFrontEnd(NativeRateFrontEnd):
    """A one-source model of another toolkit; a subclass sets ``toolkit``, defines :meth:`load` and :meth:`separate`."""

    toolkit: str  # name of the front-end and of the distribution
    network: Any  # the toolkit's model, a module
    path_options = ("model",)

    def __init__(
        self, model: str, native_rate: int | None = None, level_dbfs: float | None = None, fit_scale: bool = True
    ) -> None:
        """Load the model.

        Args:
            model: argument of the toolkit's loader: a path, or the id of a model on its hub.
            native_rate: sampling rate of the model, Hz; None: as the model has it.
            level_dbfs: RMS of the model's input, dB re full scale; None: unchanged.
            fit_scale: scale the output to the input by least squares: models trained with SI-SDR have an arbitrary
                scale. False: leave the scale to the model.

        Raises:
            TrnetError: If the toolkit is missing, the model does not load, or its sampling rate is unknown.
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
                f"front-end {self.toolkit}: model {model!r} does not load ({reason[:300]}): set frontend_conf.model to "
                "the path or the hub id of a model of this toolkit"
            ) from error
        if not (native_rate or rate):
            raise TrnetError(
                f"front-end {self.toolkit}: model {model!r} has no sampling rate: set frontend_conf.native_rate, Hz"
            )
        self.native_rate = int(native_rate or rate)
        self.package = package_version(self.toolkit)
        if Path(model).exists():
            self.checkpoint_sha256 = files_sha256(self.files(Path(model)))

    def load(self, model: str) -> tuple[Any, Any]:
        """Load a model onto the CPU; the network, and its sampling rate in Hz (None if unknown)."""
        raise NotImplementedError(f"{type(self).__name__} has to define load(model)")

    def separate(self, clips: Tensor) -> Tensor:
        """Run the model: (1, samples) float32 at ``native_rate`` to (sources, samples)."""
        raise NotImplementedError(f"{type(self).__name__} has to define separate(clips)")

    def files(self, model: Path) -> dict[str, Path]:
        """The files of a local model by name: those of a folder, or the one file."""
        if model.is_file():
            return {"model": model}
        inside = {str(path.relative_to(model)): path for path in model.rglob("*") if path.is_file()}
        return {name: path for name, path in inside.items() if not name.startswith(".")}

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """(samples,) to the same shape; ``native_rate``."""
        missing = max(0, round(SHORTEST_S * self.native_rate) - len(clip))
        clips = functional.pad(clip, (0, missing))[None]
        sources = self.separate(clips)
        if sources.shape != clips.shape:
            raise TrnetError(
                f"front-end {self.toolkit}: the model returns (sources, samples) of {tuple(sources.shape)} for "
                f"{len(clips[0])} samples: give a model of one source that keeps the length"
            )
        return sources[0, : len(clip)]
