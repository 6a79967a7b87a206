"""A packed model as a function: audio in, emotion, probabilities and c out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trnet.audio import SILENCE_RMS
from trnet.deploy.hub import read_pretrained
from trnet.deploy.model_file import ModelFile
from trnet.deploy.recording import Piece, Recording, of_samples, resampled, windows
from trnet.errors import TrnetError
from trnet.features.archive import as_archived
from trnet.features.fbank import fbank, num_frames
from trnet.frontend.clips import enhance_clips
from trnet.heard import heard_span
from trnet.train.batch import Batch, pad
from trnet.train.forward import Output, run_model


@dataclass(frozen=True)
class WindowAnswer:
    """What was said of seconds [start, end): None where they are silent; c also where the system has none."""

    start: float
    end: float
    emotion: str | None
    probabilities: dict[str, float] | None
    c: float | None


@dataclass(frozen=True)
class Answer:
    """What was said of a recording: probabilities and c are means over the windows that are not silent.

    emotion: the likeliest. c: None where the system has none. seconds: length of the recording.
    """

    name: str
    seconds: float
    emotion: str
    probabilities: dict[str, float]
    c: float | None
    windows: tuple[WindowAnswer, ...]


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


@dataclass
class _Open:
    """A recording that is being answered: its windows so far, and how many still wait in a batch."""

    recording: Recording
    found: dict[int, WindowAnswer] = field(default_factory=dict)
    waiting: int = 0
    read: bool = False
    problem: TrnetError | None = None
    seconds: float = 0.0


class Predictor:
    """A trained system with its front-end, ready to hear audio of any rate, channel count and length.

    Audio is cut into windows of at most what the model heard in training (500 frames, 5.015 s, with the paper's
    settings), each enhanced and recognised alone, as stages 3, 4 and 7 do. Windows below -100 dB of full scale are
    silent and have no say.
    """

    def __init__(self, model: ModelFile, ngpu: int = 0, trust: bool = False) -> None:
        """Build network and front-end.

        Args:
            model: what `read_model` gave.
            ngpu: 0: CPU; 1: GPU.
            trust: build a front-end whose code is not trnet's.

        Raises: TrnetError if a part does not fit, or there is no GPU.
        """
        if ngpu and not torch.cuda.is_available():
            raise TrnetError(f"--ngpu {ngpu}: PyTorch sees no GPU here; use --ngpu 0")
        self.device = torch.device("cuda" if ngpu else "cpu")
        self.model, self.features, self.classes = model, model.config.features, model.classes
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

    @property
    def longest(self) -> float:
        """Seconds of the longest window."""
        return self.features.span / self.features.sample_rate

    def __call__(self, wav: Any, rate: int, window: float | None = None, hop: float | None = None) -> Answer:
        """What is said of audio in memory.

        Args:
            wav: (samples,), or two axes of which the shorter one is the channels; float in [-1, 1] or signed integers.
            rate: sampling rate, Hz.
            window: seconds of a window, `longest` at most; None: `longest`.
            hop: seconds from one window to the next; None: `window`.

        Raises: TrnetError for audio that is empty, silent, shorter than a frame, or not finite.
        """
        (answer,) = self.answers([of_samples(wav, rate)], window, hop)
        if isinstance(answer, TrnetError):
            raise answer
        return answer

    def answers(
        self,
        recordings: Iterable[Recording],
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 8,
        heard: Callable[[float, float], object] | None = None,
    ) -> Iterator[Answer | TrnetError]:
        """What is said of each recording, in their order; an error for one does not stop the others.

        Args:
            recordings: what to hear; read one after the other, a second at a time.
            window: as above.
            hop: as above.
            batch_size: windows that are computed together.
            heard: is told the seconds of each block that was read, and its share of the recording (0: unknown).

        Raises: TrnetError, before anything is read, for a window, hop or batch size that cannot be.
        """
        if batch_size < 1:
            raise TrnetError(f"--batch-size {batch_size}: must be 1 or more")
        return self._answers(recordings, *self._samples(window, hop), batch_size, heard)

    def _answers(
        self,
        recordings: Iterable[Recording],
        length: int,
        step: int,
        batch_size: int,
        heard: Callable[[float, float], object] | None,
    ) -> Iterator[Answer | TrnetError]:
        queue: deque[_Open] = deque()
        batch: list[tuple[_Open, Piece]] = []
        for recording in recordings:
            opened = _Open(recording)
            queue.append(opened)
            try:
                for piece in self._pieces(recording, length, step, heard):
                    opened.seconds = self._end(piece)
                    if _is_silent(piece.samples):
                        opened.found[piece.start] = WindowAnswer(*self._span(piece), None, None, None)
                        continue
                    self._check_length(recording.name, piece)
                    batch.append((opened, piece))
                    opened.waiting += 1
                    if len(batch) == batch_size:
                        self._answer(batch)
                        batch = []
            except TrnetError as error:
                opened.problem = error
            opened.read = True
            yield from self._finished(queue)
        self._answer(batch)
        yield from self._finished(queue)

    def hear(self, clips: list[np.ndarray], names: list[str]) -> Heard:
        """Enhance and recognise clips (n_i,) at the features' rate, none longer than a window, as stages 3, 4, 7 do.

        Raises: TrnetError if the front-end fails on one, or what comes out is not finite.
        """
        clips = [heard_span(clip, self.features.span, self.features.pad) for clip in clips]
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

    def _samples(self, window: float | None, hop: float | None) -> tuple[int, int]:
        rate, span = self.features.sample_rate, self.features.span
        length = span if window is None else round(window * rate)
        if length > span or num_frames(length, self.features) < 1:
            raise TrnetError(f"--window {window:g}: the model hears up to {self.longest:.3f} s, and a frame at least")
        step = length if hop is None else round(hop * rate)
        if step < 1:
            raise TrnetError(f"--hop {hop:g}: must be above 0 s")
        return length, step

    def pieces(self, recording: Recording, window: float | None = None, hop: float | None = None) -> Iterator[Piece]:
        """The windows of a recording, at the features' rate; options as above."""
        return self._pieces(recording, *self._samples(window, hop), None)

    def _pieces(
        self, recording: Recording, length: int, step: int, heard: Callable[[float, float], object] | None
    ) -> Iterator[Piece]:
        rate, total, blocks = recording.blocks()

        def told() -> Iterator[np.ndarray]:
            for block in blocks:
                yield block
                if heard is not None:
                    heard(len(block) / rate, len(block) / rate / total if total else 0.0)

        yield from windows(resampled(told(), rate, self.features.sample_rate, recording.name), length, step)

    def _check_length(self, name: str, piece: Piece) -> None:
        if num_frames(len(piece.samples), self.features) < 1:
            said = f"{len(piece.samples) / self.features.sample_rate * 1000:.0f} ms"
            raise TrnetError(f"{name}: lasts {said}, shorter than a frame of {self.features.frame_length:g} ms")

    def _end(self, piece: Piece) -> float:
        return (piece.start + len(piece.samples)) / self.features.sample_rate

    def _span(self, piece: Piece) -> tuple[float, float]:
        return piece.start / self.features.sample_rate, self._end(piece)

    def _answer(self, batch: list[tuple[_Open, Piece]]) -> None:
        """Answer windows together; where that fails, each alone, so that one does not spoil the others."""
        if not batch:
            return
        try:
            heard = self.hear([piece.samples for _, piece in batch], [opened.recording.name for opened, _ in batch])
        except TrnetError as error:
            if len(batch) > 1:
                for item in batch:
                    self._answer([item])
                return
            opened = batch[0][0]
            opened.problem, opened.waiting = error, opened.waiting - 1
            return
        cs = [None] * len(batch) if heard.output.c is None else heard.output.c.cpu().tolist()
        for (opened, piece), probs, c in zip(batch, heard.probs, cs, strict=True):
            said = dict(zip(self.classes, map(float, probs), strict=True))
            emotion = self.classes[int(probs.argmax())]
            opened.found[piece.start] = WindowAnswer(*self._span(piece), emotion, said, c)
            opened.waiting -= 1

    def _finished(self, queue: deque[_Open]) -> Iterator[Answer | TrnetError]:
        while queue and queue[0].read and not queue[0].waiting:
            opened = queue.popleft()
            yield opened.problem or self._sum_up(opened)

    def _sum_up(self, opened: _Open) -> Answer | TrnetError:
        found = [opened.found[start] for start in sorted(opened.found)]
        told = [window for window in found if window.probabilities is not None]
        name = opened.recording.name
        if not told:
            return TrnetError(f"{name}: is silent from beginning to end (below -100 dB of full scale)")
        probs = {cls: sum(w.probabilities[cls] for w in told) / len(told) for cls in self.classes}
        cs = [window.c for window in told if window.c is not None]
        emotion = max(self.classes, key=lambda cls: probs[cls])
        return Answer(name, opened.seconds, emotion, probs, sum(cs) / len(cs) if cs else None, tuple(found))


def _is_silent(samples: np.ndarray) -> bool:
    """Whether samples (n,) are below -100 dB; an empty piece is not."""
    return len(samples) > 0 and float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < SILENCE_RMS
