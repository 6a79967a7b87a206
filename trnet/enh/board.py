"""TensorBoard: losses and scores as curves, a few validation utterances as audio. Without the package, nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

RATE = 16000  # Hz


class Board:
    """Writes below ``<folder>/tensorboard``; use as a context manager."""

    def __init__(self, folder: Path, done: int) -> None:
        """Open it.

        Args:
            folder: of the run.
            done: epochs that were trained before; what an earlier call wrote after them is taken back.
        """
        self.writer = None
        with contextlib.suppress(ModuleNotFoundError):
            from torch.utils.tensorboard import SummaryWriter  # here, because it takes seconds

            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
        if self.writer is None:
            print("tensorboard is not installed (pip install 'trnet[enh]'): curves are in history.csv alone")

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Add a point to each curve."""
        if self.writer is not None:
            for name, value in values.items():
                part, _, rest = name.partition("_")
                tag = f"{part}/{rest}" if part in ("train", "valid") else name
                self.writer.add_scalar(tag, value, epoch)

    def audio(self, kind: str, utt: str, samples: np.ndarray, epoch: int) -> None:
        """Add an utterance, (samples,), scaled where it peaks above full scale; `kind`: noisy, clean, enhanced."""
        if self.writer is not None:
            peak = max(1.0, float(np.abs(samples).max()))
            self.writer.add_audio(f"{utt}/{kind}", torch.from_numpy(samples / np.float32(peak)), epoch, RATE)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()
