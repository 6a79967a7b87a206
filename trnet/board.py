"""Curves of a training run for TensorBoard, and for Weights & Biases where a project of it is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from trnet.errors import TrnetError
from trnet.stamp import digest

RATE = 16000  # Hz


class Board:
    """Writes below ``<folder>/tensorboard``; use as a context manager."""

    def __init__(self, folder: Path, done: int, title: str = "", wandb: str | None = None) -> None:
        """Open it.

        Args:
            folder: of the run.
            done: epochs that were trained before; what an earlier call wrote after them is taken back.
            title: of the run, for Weights & Biases.
            wandb: project there; None: nothing is sent.

        Raises: TrnetError if a project is named and the package is not there.
        """
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
        self.wandb = _wandb_run(folder, title, wandb) if wandb else None

    def scalars(self, values: Mapping[str, float | None], epoch: int) -> None:
        """Add a point to each curve that has a value; ``valid_uar`` is tagged ``valid/uar``."""
        points = {_tag(name): value for name, value in values.items() if name != "epoch" and value is not None}
        for tag, value in points.items():
            self.writer.add_scalar(tag, value, epoch)
        if self.wandb is not None:
            self.wandb.log(points, step=epoch)

    def audio(self, kind: str, utt: str, samples: np.ndarray, epoch: int) -> None:
        """Add an utterance, (samples,), scaled where it peaks above full scale; `kind`: noisy, clean, enhanced."""
        peak = max(1.0, float(np.abs(samples).max()))
        self.writer.add_audio(f"{utt}/{kind}", torch.from_numpy(samples / np.float32(peak)), epoch, RATE)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()
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
        raise TrnetError("--wandb: the package is not installed; pip install 'trnet[wandb]', or leave it out") from None
    return wandb.init(project=project, name=title, id=digest(str(folder.resolve())), resume="allow", dir=str(folder))
