"""From recordings to answers: windows, batches, silence and means, whatever says something of a window."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trnet.audio.crop import num_frames
from trnet.audio.reading import SILENCE_RMS, resampler
from trnet.config import Features
from trnet.deploy.recording import Piece, Recording, Resampler, of_samples, resampled, windows
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real, whole

LONGEST_S = 1e6  # of --window and --hop, seconds


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
class Said:
    """What was said of a window: probabilities (classes,), and c where the system has one."""

    probs: np.ndarray
    c: float | None


@dataclass
class _Open:
    """A recording that is being answered: its windows so far, and how many still wait in a batch."""

    recording: Recording
    found: dict[int, WindowAnswer] = field(default_factory=dict)
    waiting: int = 0
    read: bool = False
    problem: TrnetError | None = None
    seconds: float = 0.0


class Answering(ABC):
    """Hears audio of any rate, channel count and length.

    Audio is cut into windows of at most what the model heard in training (500 frames, 5.015 s, with the paper's
    settings), each enhanced and recognised alone, as stages 3, 4 and 7 do. Windows below -100 dB of full scale are
    silent and have no say.
    """

    def __init__(self, features: Features, classes: Sequence[str], make: Resampler = resampler) -> None:
        """`features`: what the model was trained with; `classes`: in the order of its logits; `make`: resamples."""
        self.features, self.classes, self._make_resampler = features, tuple(classes), make

    @abstractmethod
    def say(self, clips: list[np.ndarray], names: list[str]) -> list[Said]:
        """What is said of windows (n_i,) at the features' rate, none longer than `longest`.

        Raises: TrnetError if the front-end fails on one, or what comes out is not finite.
        """

    @property
    def longest(self) -> float:
        """Seconds of the longest window."""
        return self.features.span / self.features.sample_rate

    def __call__(
        self, wav: Any, rate: int, window: float | None = None, hop: float | None = None, channel: int | None = None
    ) -> Answer:
        """What is said of audio in memory.

        Args:
            wav: (samples,), or two axes of which the shorter one is the channels; float in [-1, 1] or signed integers.
            rate: sampling rate, Hz.
            window: seconds of a window, `longest` at most; None: `longest`.
            hop: seconds from one window to the next; None: `window`.
            channel: which one is taken, from 0, where there are several; None: their mean.

        Raises: TrnetError for audio that is empty, silent, shorter than a frame, or not finite, or whose channels
            cancel in their mean.
        """
        (answer,) = self.answers([of_samples(wav, rate, channel=channel)], window, hop)
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
        try:
            whole(batch_size, 1)
        except ValueError as error:
            raise TrnetError(f"--batch-size: {error}") from None
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
            except OSError as error:  # in reading: of a bad disk, say
                opened.problem = TrnetError(f"{recording.name}: {error.strerror or error}; mend that")
            opened.read = True
            yield from self._finished(queue)
        self._answer(batch)
        yield from self._finished(queue)

    def _samples(self, window: float | None, hop: float | None) -> tuple[int, int]:
        rate, span = self.features.sample_rate, self.features.span
        for option, value in (("--window", window), ("--hop", hop)):
            try:
                real(0 if value is None else value, 0, LONGEST_S)
            except ValueError as error:
                raise TrnetError(f"{option}: {error}; give seconds") from None
        length = span if window is None else round(window * rate)
        if length > span or num_frames(length, self.features) < 1:
            raise TrnetError(f"--window {window:g}: the model hears up to {self.longest:.3f} s, and a frame at least")
        step = length if hop is None else round(hop * rate)
        if hop is not None and hop < self.features.frame_shift / 1000:
            raise TrnetError(
                f"--hop {hop:g}: must be {self.features.frame_shift / 1000:g} s or more, from frame to frame"
            )
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

        resample = resampled(told(), rate, self.features.sample_rate, self._make_resampler)
        yield from windows(resample, length, step)

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
            said = self.say([piece.samples for _, piece in batch], [opened.recording.name for opened, _ in batch])
        except TrnetError as error:
            if len(batch) > 1:
                for item in batch:
                    self._answer([item])
                return
            opened = batch[0][0]
            opened.problem, opened.waiting = error, opened.waiting - 1
            return
        for (opened, piece), each in zip(batch, said, strict=True):
            probs = dict(zip(self.classes, map(float, each.probs), strict=True))
            emotion = self.classes[int(each.probs.argmax())]
            opened.found[piece.start] = WindowAnswer(*self._span(piece), emotion, probs, each.c)
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
