"""Curves of a training run for TensorBoard, and for Weights & Biases where a project of it is named.

Training goes on where curves cannot be written, on a full disk for example; that is logged once.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from trnet.utils.errors import TrnetError, first_line, missing_package
from trnet.utils.stamp import digest

if TYPE_CHECKING:  # TensorBoard is imported where curves are written, as scoring has none
    from tensorboard.compat.proto.summary_pb2 import Summary

RATE = 16000  # Hz

_files = itertools.count()  # of this process, for their names


class ExperimentLogger:
    """Writes below ``<folder>/tensorboard``; use as a context manager."""

    def __init__(self, folder: Path, done: int, title: str = "", wandb: str | None = None) -> None:
        """Open it.

        Args:
            done: epochs that were trained before; what an earlier call wrote after them is taken back.
            title: of the run, for Weights & Biases.
            wandb: project there; None: nothing is sent.

        Raises:
            TrnetError: If a project is named and the package is not there, or does not begin a run.
        """
        self.folder = Path(folder) / "tensorboard"
        self._stream: IO[bytes] | None = None
        self._try(lambda: self._open(done + 1))
        self.wandb = _wandb_run(folder, title, wandb) if wandb else None

    def _open(self, purge_step: int) -> None:
        """A new file, named and begun as TensorBoard's own writer does, which would write in a thread of its own."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_files)}"
        self._stream = open(self.folder / name, "wb")
        self._write(file_version="brain.Event:2")
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))
        self._stream.flush()

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._stream is not None
        RecordWriter(self._stream).write(Event(wall_time=time.time(), **event).SerializeToString())

    def _try(self, work: Callable[[], None]) -> None:
        """Write, if it is still possible."""
        try:
            work()
        except OSError as error:
            tqdm.write(f"{self.folder}: no more curves are written ({error.strerror}); training goes on")
            self._give_up()

    def _give_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:  # what is in its buffer does not go to the disk: closed it is, all the same
                pass

    def _summaries(self, summaries: list[Summary], epoch: int) -> None:
        if self._stream is None:
            return
        for summary in summaries:
            self._write(step=epoch, summary=summary)
        self._stream.flush()

    def scalars(self, values: Mapping[str, float | None], epoch: int) -> None:
        """Add a point to each curve that has a value; ``valid_uar`` is tagged ``valid/uar``."""
        from torch.utils.tensorboard.summary import scalar

        points = {_tag(name): value for name, value in values.items() if name != "epoch" and value is not None}
        self._try(lambda: self._summaries([scalar(tag, value) for tag, value in points.items()], epoch))
        if self.wandb is not None:
            try:
                self.wandb.log(points, step=epoch)
            except Exception as error:  # of its own, or of the network below it
                tqdm.write(f"--wandb: no more curves are sent ({first_line(error)}); training goes on")
                self.wandb = None

    def audio(self, kind: str, utt: str, samples: np.ndarray, epoch: int) -> None:
        """Add an utterance, (samples,), scaled where it peaks above full scale; `kind`: noisy, clean, enhanced."""
        from torch.utils.tensorboard.summary import audio

        peak = max(1.0, float(np.abs(samples).max()))
        scaled = torch.from_numpy(samples / np.float32(peak))
        self._try(lambda: self._summaries([audio(f"{utt}/{kind}", scaled, RATE)], epoch))

    def __enter__(self) -> ExperimentLogger:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()
        if self.wandb is not None:
            self.wandb.finish()


def _tag(name: str) -> str:
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if part in ("train", "valid") else name


def _wandb_run(folder: Path, title: str, project: str) -> Any:
    """A run there that a later call of the same folder goes on with."""
    try:
        import wandb  # here, because few have it
    except ModuleNotFoundError:
        raise TrnetError(f"--wandb: {missing_package('wandb', 'wandb')}; or leave the option out") from None
    made = digest(str(folder.resolve()))
    try:
        return wandb.init(project=project, name=title, id=made, resume="allow", dir=str(folder))
    except Exception as error:  # of its own, or of the network below it
        raise TrnetError(f"--wandb {project}: cannot begin ({first_line(error)}); log in, or leave it out") from None
