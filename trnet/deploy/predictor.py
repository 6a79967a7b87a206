"""A packed model as a function: audio in, emotion, probabilities and c out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trnet.audio.crop import crop
from trnet.config import Fbank, Features
from trnet.deploy.hub import read_pretrained
from trnet.deploy.model_file import ModelFile
from trnet.deploy.packaged import packaged_model
from trnet.deploy.sliding_window import SlidingWindowPredictor, WindowScores
from trnet.features import Extractor, make_extractor
from trnet.features.archive import as_archived
from trnet.features.cache import pad
from trnet.features.equal_lengths import extract
from trnet.features.upstream import UpstreamExtractor
from trnet.frontend.clips import enhance_clips
from trnet.model.batch import Batch, Output
from trnet.model.feature_scale import scaled_batch
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError, first_line

MELS = "_mels"  # suffix of a batch's fields for the gate, where the features are no log-mels


@dataclass(frozen=True)
class Inference:
    """Windows that went through the network: enhanced samples (n_i,) of each (none without a front-end), the batch of
    their features, the network's output, probabilities (B, classes).
    """

    enhanced_clips: list[np.ndarray]
    batch: Batch
    output: Output
    probs: np.ndarray

    def scores(self) -> list[WindowScores]:
        """Probabilities and c of each window."""
        cs = [None] * len(self.probs) if self.output.c is None else self.output.c.cpu().tolist()
        return [WindowScores(probs, c) for probs, c in zip(self.probs, cs, strict=True)]

    def matrix(self, kind: str) -> np.ndarray | None:
        """Features (frames, dim) of the first window, or the log-mels beside them: `noisy`, `enhanced` or
        `compensated`; None without such.
        """
        found: Tensor | None = getattr(self.output if kind == "compensated" else self.batch, kind)
        lengths = self.batch.lengths
        if (mels := self.batch.mel_lengths) is not None:  # beside features that nobody can look at
            found, lengths = getattr(self.batch, kind + MELS, None), mels
        return None if found is None else found[0, : int(lengths[0])].float().cpu().numpy()


class Predictor(SlidingWindowPredictor):
    """A trained system with its front-end, by PyTorch."""

    def __init__(
        self, model: ModelFile, ngpu: int = 0, trust: bool = False, upstream: str | Path | None = None
    ) -> None:
        """Build network and front-end.

        Args:
            model: Of `trnet.deploy.hub.read_pretrained`.
            ngpu: 1: on the GPU.
            trust: Run code that is not trnet's.
            upstream: Folder of the pretrained network behind the features; None: the model's own, or the hub's.

        Raises:
            TrnetError: If a part is missing or does not fit, or there is no GPU.
        """
        if ngpu not in (0, 1):
            raise TrnetError(f"--ngpu {ngpu}: give 0 for the CPU, 1 for a GPU")
        if ngpu and not torch.cuda.is_available():
            raise TrnetError(f"--ngpu {ngpu}: PyTorch sees no GPU here; use --ngpu 0")
        self.device = gpu() if ngpu else torch.device("cpu")
        extractor = model.make_extractor(upstream)
        self._extractors: list[tuple[str, Fbank | Features, Extractor]] = [("", model.settings.features, extractor)]
        self._upstream: UpstreamExtractor | None = None  # where it reads the mixture of waveforms
        if model.settings.mixes_waveforms and isinstance(extractor, UpstreamExtractor):
            self._upstream = extractor
        if (mels := model.settings.gate_features) is not None:
            self._extractors.append((MELS, mels, make_extractor(mels)))
        for _, _, each in self._extractors:
            if (to := getattr(each, "to", None)) is not None:
                to(self.device)
        super().__init__(model.settings.features, model.classes, self._num_frames)
        self.model = model
        self.temperature = model.settings.temperature or 1.0
        self.network = model.make_network().to(self.device)
        self.inputs: tuple[str, ...] = self.network.inputs  # type: ignore[assignment]  # see trnet.model.systems.System
        frontend = model.make_frontend(trust)
        self.frontend = None if frontend is None else frontend.to(self.device)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path | None = None,
        ngpu: int = 0,
        trust: bool = False,
        upstream: str | Path | None = None,
    ) -> "Predictor":
        """The predictor of a model at a place that `trnet.deploy.model_path.locate` knows, or of the model in the
        package; the rest as above.
        """
        return cls(read_pretrained(packaged_model() if path is None else path, trust), ngpu, trust, upstream)

    def _num_frames(self, samples: int) -> int:
        """Frames of so many samples, of the features that have the fewest."""
        return min(extractor.num_frames(samples) for _, _, extractor in self._extractors)

    def score_windows(self, clips: list[np.ndarray], names: list[str]) -> list[WindowScores]:
        """See :meth:`SlidingWindowPredictor.score_windows`."""
        return self.infer(clips, names).scores()

    def infer(self, clips: list[np.ndarray], names: list[str]) -> Inference:
        """Enhance and recognise clips (n_i,) at the features' rate, none longer than a window, as stages 3, 4, 7 do."""
        clips = [crop(clip, self.features.span, self.features.pad) for clip in clips]
        enhanced = [] if self.frontend is None else enhance_clips(self.frontend, clips, names)
        batch = self._batch({"noisy": clips, "enhanced": enhanced})
        with self._foreign_errors(), torch.inference_mode():
            output = self.network(scaled_batch(self.network, batch.to(self.device)))
            probs = torch.softmax(output.logits.float() / self.temperature, dim=1).cpu().numpy()
        for name, row in zip(names, probs, strict=True):
            if not np.isfinite(row).all():
                raise TrnetError(f"{name}: scores are not finite")
        return Inference(enhanced, batch, output, probs)

    def _batch(self, given: dict[str, list[np.ndarray]]) -> Batch:
        """Clips by kind as the network reads them: the fields that `trnet.train.batches.BatchReader` fills, too."""
        clips, extractors = given["noisy"], self._extractors
        fields: dict[str, Any] = {}
        lengths: dict[str, Tensor] = {}
        if self._upstream is not None:
            extractors = extractors[1:]  # hidden states are made of the mixture
            lengths[""] = torch.tensor([self._upstream.num_frames(len(clip)) for clip in clips])
            fields |= {f"{kind}_wav": pad([clip[:, None] for clip in given[kind]])[..., 0] for kind in self.inputs}
            fields["wav_lengths"] = torch.tensor([len(clip) for clip in clips])
            fields["hidden_states"] = self._upstream.of_padded
        for kind in self.inputs:
            for suffix, features, extractor in extractors:
                with self._foreign_errors():
                    found = extract(extractor, [torch.from_numpy(clip) for clip in given[kind]])
                matrices = [as_archived(matrix.numpy(), features) for matrix in found]
                stack = pad(matrices)
                fields[kind + suffix] = stack.half().float() if features.in_half else stack  # as in training
                lengths[suffix] = torch.tensor([len(matrix) for matrix in matrices])
        labels = torch.zeros(len(clips), dtype=torch.long)
        return Batch((), lengths[""], labels, mel_lengths=lengths.get(MELS), **fields)

    @contextmanager
    def _foreign_errors(self) -> Iterator[None]:
        """Turn what classes that are not trnet's own raise into one line that names them."""
        try:
            yield
        except (TrnetError, OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if not (foreign := self.model.settings.own_classes):
                raise
            what = f"{type(error).__name__}: {first_line(error)}"
            raise TrnetError(f"{', '.join(foreign)}: raised {what}; mend the class") from error
