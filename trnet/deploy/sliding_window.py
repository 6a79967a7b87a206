"""Prediction of recordings of any length: windows, batches of them, silence, and means over a recording's windows."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from trnet.audio.reading import SILENCE_RMS
from trnet.config import Fbank, Features
from trnet.deploy.recording import Recording, Window, from_samples, resampled, split
from trnet.utils.errors import TrnetError, one_line
from trnet.utils.numbers import real, whole

MAX_SECONDS = 1e6  # of --window and --hop
MIN_HOP_S = 0.01  # a frame of the paper's


@dataclass(frozen=True)
class WindowPrediction:
    """The prediction of seconds [start, end): None of a silent window; c also where the system has none."""

    start: float
    end: float
    emotion: str | None
    probabilities: dict[str, float] | None
    c: float | None


@dataclass(frozen=True)
class Prediction:
    """The prediction of a recording: probabilities and c are means over the windows that are not silent.

    emotion: the likeliest. c: None where the system has none. seconds: length of the recording.
    """

    name: str
    seconds: float
    emotion: str
    probabilities: dict[str, float]
    c: float | None
    windows: tuple[WindowPrediction, ...]


class WindowScores(NamedTuple):
    """The network's probabilities (classes,) of a window, and c where the system has one."""

    probs: np.ndarray
    c: float | None


@dataclass
class _Pending:
    """A recording whose windows are not all predicted: those that are by start, and the number that wait."""

    name: str
    done: dict[int, WindowPrediction] = field(default_factory=dict)
    waiting: int = 0
    error: TrnetError | None = None
    seconds: float = 0.0


class SlidingWindowPredictor(ABC):
    """Predicts audio of any rate, channel count and length.

    Audio is cut into windows of at most the length that the model was trained on (500 frames, 5.015 s, with the paper's
    settings), each enhanced and recognised alone, as stages 3, 4 and 7 do. Windows below -100 dB of full scale are
    silent and do not count.
    """

    def __init__(self, features: Fbank | Features, classes: Sequence[str], num_frames: Callable[[int], int]) -> None:
        """`features`: of training; `classes`: in the order of the logits; `num_frames`: those of so many samples."""
        self.features, self.classes, self.num_frames = features, tuple(classes), num_frames

    @abstractmethod
    def score_windows(self, clips: list[np.ndarray], names: list[str]) -> list[WindowScores]:
        """The scores of windows (n_i,) at the features' rate, none longer than `longest`; TrnetError if one fails."""

    @property
    def longest(self) -> float:
        """Seconds of the longest window."""
        return self.features.span / self.features.sample_rate

    def __call__(
        self, wav: Any, rate: int, window: float | None = None, hop: float | None = None, channel: int | None = None
    ) -> Prediction:
        """The prediction of audio in memory.

        Args:
            wav: (samples,), or two axes of which the shorter is the channels; floats in [-1, 1] or signed integers.
            rate: Sampling rate, Hz.
            window: Seconds of a window, `longest` at most; None: `longest`.
            hop: Seconds from one window to the next; None: `window`.
            channel: From 0; None: the mean of all.

        Raises:
            TrnetError: For audio that is empty, silent, shorter than a frame, or not finite, or whose channels cancel.
        """
        (prediction,) = self.predict([from_samples(wav, rate, channel=channel)], window, hop)
        if isinstance(prediction, TrnetError):
            raise prediction
        return prediction

    def predict(
        self,
        recordings: Iterable[Recording],
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 8,
        on_read: Callable[[float, float], object] | None = None,
    ) -> Iterator[Prediction | TrnetError]:
        """The prediction of each recording, in their order; an error of one does not stop the others.

        Args:
            window: Seconds of a window; as above, as is `hop`.
            batch_size: Windows that are computed together.
            on_read: Called with the seconds of each block that was read, and its share of the recording (0: unknown).

        Raises:
            TrnetError: Before anything is read, for an impossible window, hop or batch size.
        """
        try:
            whole(batch_size, 1)
        except ValueError as error:
            raise TrnetError(f"--batch-size: {error}") from None
        return self._predict(recordings, *self._lengths(window, hop), batch_size, on_read)

    def _predict(
        self,
        recordings: Iterable[Recording],
        length: int,
        step: int,
        batch_size: int,
        on_read: Callable[[float, float], object] | None,
    ) -> Iterator[Prediction | TrnetError]:
        queue: deque[_Pending] = deque()
        batch: list[tuple[_Pending, Window]] = []
        for recording in recordings:
            pending = _Pending(recording.name)
            try:
                for window in self._windows(recording, length, step, on_read):
                    pending.seconds = self._end(window)
                    if _is_silent(window.samples):
                        pending.done[window.start] = self._prediction(window, None)
                        continue
                    self._check_length(recording.name, window)
                    batch.append((pending, window))
                    pending.waiting += 1
                    if len(batch) == batch_size:
                        self._score(batch)
                        batch = []
            except TrnetError as error:
                pending.error = error
            except OSError as error:  # in reading: of a bad disk, say
                pending.error = TrnetError(f"{recording.name}: {error.strerror or error}; mend that")
            queue.append(pending)
            yield from self._finished(queue)
        self._score(batch)
        yield from self._finished(queue)

    def _lengths(self, window: float | None, hop: float | None) -> tuple[int, int]:
        """Samples of a window, and from one to the next."""
        rate, longest = self.features.sample_rate, self.features.span
        for option, value in (("--window", window), ("--hop", hop)):
            try:
                real(0 if value is None else value, 0, MAX_SECONDS)
            except ValueError as error:
                raise TrnetError(f"{option}: {error}; give seconds") from None
        length = longest if window is None else round(window * rate)
        if length > longest or self.num_frames(length) < 1:
            raise TrnetError(f"--window {window:g}: must be a frame at least, and at most {self.longest:.3f} s")
        if hop is not None and hop < MIN_HOP_S:
            raise TrnetError(f"--hop {hop:g}: must be {MIN_HOP_S:g} s or more")
        return length, length if hop is None else round(hop * rate)

    def _windows(
        self, recording: Recording, length: int, step: int, on_read: Callable[[float, float], object] | None
    ) -> Iterator[Window]:
        rate, total, blocks = recording.open()

        def reported() -> Iterator[np.ndarray]:
            for block in blocks:
                yield block
                if on_read is not None:
                    on_read(len(block) / rate, len(block) / rate / total if total else 0.0)

        yield from split(resampled(reported(), rate, self.features.sample_rate), length, step)

    def _check_length(self, name: str, window: Window) -> None:
        if self.num_frames(len(window.samples)) < 1:
            lasts = f"{len(window.samples) / self.features.sample_rate * 1000:.0f} ms"
            raise TrnetError(f"{name}: lasts {lasts}, shorter than a frame")

    def _end(self, window: Window) -> float:
        return (window.start + len(window.samples)) / self.features.sample_rate

    def _prediction(self, window: Window, scores: WindowScores | None) -> WindowPrediction:
        span = window.start / self.features.sample_rate, self._end(window)
        if scores is None:
            return WindowPrediction(*span, None, None, None)
        probs = dict(zip(self.classes, map(float, scores.probs), strict=True))
        return WindowPrediction(*span, self.classes[int(scores.probs.argmax())], probs, scores.c)

    def _score(self, batch: list[tuple[_Pending, Window]]) -> None:
        """Score windows together; where that fails, each alone, so that one does not spoil the others."""
        if not batch:
            return
        try:
            scores = self.score_windows([window.samples for _, window in batch], [pending.name for pending, _ in batch])
        except Exception as error:
            no_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's
            if not (no_memory or isinstance(error, TrnetError)):
                raise
            if len(batch) == 1:
                pending = batch[0][0]
                pending.error = error if isinstance(error, TrnetError) else TrnetError(one_line(error) or "")
                pending.waiting -= 1
                return
            scores = None
        if scores is None:  # here, where the exception no longer holds the tensors of what failed
            for item in batch:
                self._score([item])
            return
        for (pending, window), each in zip(batch, scores, strict=True):
            pending.done[window.start] = self._prediction(window, each)
            pending.waiting -= 1

    def _finished(self, queue: deque[_Pending]) -> Iterator[Prediction | TrnetError]:
        while queue and not queue[0].waiting:
            pending = queue.popleft()
            yield pending.error or self._mean(pending)

    def _mean(self, pending: _Pending) -> Prediction | TrnetError:
        windows = tuple(pending.done[start] for start in sorted(pending.done))
        scored = [window.probabilities for window in windows if window.probabilities is not None]
        if not scored:
            return TrnetError(f"{pending.name}: is silent from beginning to end (below -100 dB of full scale)")
        probs = {cls: sum(each[cls] for each in scored) / len(scored) for cls in self.classes}
        cs = [window.c for window in windows if window.c is not None]
        c = sum(cs) / len(cs) if cs else None
        return Prediction(pending.name, pending.seconds, max(probs, key=probs.__getitem__), probs, c, windows)


def _is_silent(samples: np.ndarray) -> bool:
    """Whether samples (n,) are below -100 dB; an empty window is not."""
    return len(samples) > 0 and float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < SILENCE_RMS
