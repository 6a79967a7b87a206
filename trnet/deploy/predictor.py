"""A packed model as a function: audio in, emotion, probabilities and c out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trnet.audio.crop import crop, num_frames
from trnet.deploy.hub import read_pretrained
from trnet.deploy.model_file import ModelFile
from trnet.deploy.sliding_window import Answering, Said
from trnet.features.archive import as_archived
from trnet.features.fbank import fbank
from trnet.frontend.clips import enhance_clips
from trnet.model.batch import Batch, pad
from trnet.train.forward import Output, run_model
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Heard:
    """What the network heard and said of a batch.

    lengths: frames of each. noisy, enhanced: (B, T, F) log-mels or None. output: of the network. probs: (B, classes).
    """

    lengths: list[int]
    noisy: np.ndarray | None
    enhanced: np.ndarray | None
    output: Output
    probs: np.ndarray


class Predictor(Answering):
    """A trained system with its front-end, by PyTorch."""

    def __init__(self, model: ModelFile, ngpu: int = 0, trust: bool = False) -> None:
        """Build network and front-end.

        Args:
            model: what `read_model` gave.
            ngpu: 0: CPU; 1: GPU.
            trust: build a front-end whose code is not trnet's.

        Raises: TrnetError if a part does not fit, or there is no GPU.
        """
        if ngpu not in (0, 1):
            raise TrnetError(f"--ngpu {ngpu}: give 0 for the CPU, 1 for a GPU")
        if ngpu and not torch.cuda.is_available():
            raise TrnetError(f"--ngpu {ngpu}: PyTorch sees no GPU here; use --ngpu 0")
        self.device = gpu() if ngpu else torch.device("cpu")
        super().__init__(model.config.features, model.classes)
        self.model = model
        self.network = model.make_network().to(self.device)
        frontend = model.make_frontend(trust)
        self.frontend = None if frontend is None else frontend.to(self.device)

    @classmethod
    def from_pretrained(cls, path: str | Path, ngpu: int = 0, trust: bool = False) -> "Predictor":
        """The predictor of a model file.

        Args:
            path: a zip that trnet packed, a folder with ``trnet.zip`` in it, or ``hf://org/name[@revision]``.
            ngpu: 0: CPU; 1: GPU.
            trust: build a front-end whose code is not trnet's.

        Raises: TrnetError in one line if it cannot be had.
        """
        return cls(read_pretrained(path), ngpu, trust)

    def say(self, clips: list[np.ndarray], names: list[str]) -> list[Said]:
        """What is said of windows; see :meth:`Answering.say`."""
        heard = self.hear(clips, names)
        cs = [None] * len(clips) if heard.output.c is None else heard.output.c.cpu().tolist()
        return [Said(probs, c) for probs, c in zip(heard.probs, cs, strict=True)]

    def hear(self, clips: list[np.ndarray], names: list[str]) -> Heard:
        """Enhance and recognise clips (n_i,) at the features' rate, none longer than a window, as stages 3, 4, 7 do.

        Raises: TrnetError if the front-end fails on one, or what comes out is not finite.
        """
        clips = [crop(clip, self.features.span, self.features.pad) for clip in clips]
        system, stacks = self.model.system, {}
        if system.input in ("noisy", "both"):
            stacks["noisy"] = [self._log_mels(clip) for clip in clips]
        if self.frontend is not None:
            stacks["enhanced"] = [self._log_mels(clip) for clip in enhance_clips(self.frontend, clips, names)]
        lengths = [num_frames(len(clip), self.features) for clip in clips]
        padded = {kind: pad(matrices) for kind, matrices in stacks.items()}
        batch = Batch((), torch.tensor(lengths), torch.zeros(len(clips), dtype=torch.long), **padded)
        with torch.inference_mode():
            output = run_model(self.network, system, batch.to(self.device))
            probs = torch.softmax(output.logits.float(), dim=1).cpu().numpy()
        for name, row in zip(names, probs, strict=True):
            if not np.isfinite(row).all():
                raise TrnetError(f"{name}: scores are not finite")
        arrays = {kind: padded[kind].numpy() if kind in padded else None for kind in ("noisy", "enhanced")}
        return Heard(lengths, arrays["noisy"], arrays["enhanced"], output, probs)

    def _log_mels(self, clip: np.ndarray) -> np.ndarray:
        return as_archived(fbank(torch.from_numpy(clip), self.features).numpy(), self.features)
