"""A trained system's answers to utterances under their conditions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trnet.config.experiment import System
from trnet.features.cache import Item
from trnet.train.batches import BatchReader, scoring_batches
from trnet.train.forward import run_model
from trnet.utils.errors import TrnetError

LOOK_EVERY = 64  # batches between two looks at the answers, for which a GPU has to stop


class Answer(NamedTuple):
    """Class probabilities (classes,) float32; the SNR coefficient c where the system has it; h (D,) if asked for."""

    probs: np.ndarray
    c: float | None
    h: np.ndarray | None = None


@torch.inference_mode()
def decode(
    model: nn.Module,
    system: System,
    reader: BatchReader,
    items: Sequence[Item],
    batch_size: int,
    with_h: bool = False,
) -> dict[Item, Answer]:
    """The answer to every item; the model is left in eval mode. Always float32.

    Args:
        model: Network of the system.
        system: The system.
        reader: Reads the kinds of features that the system hears.
        items: Clean utterance ids with their conditions.
        batch_size: Items a batch.
        with_h: Whether the answers hold the representation h.
    """
    model.eval()
    answers: dict[Item, Answer] = {}
    waiting: list[_Said] = []
    for chunk in scoring_batches(items, reader.store.length, batch_size):
        out = run_model(model, system, reader.read(chunk))
        waiting.append(_Said(chunk, torch.softmax(out.logits.float(), dim=1), out.c, out.h.float() if with_h else None))
        if len(waiting) == LOOK_EVERY:
            _take(waiting, answers)
    _take(waiting, answers)
    return answers


class _Said(NamedTuple):
    """Items, probs (B, classes), c (B,) and h (B, D), where they are wanted, on the device."""

    items: Sequence[Item]
    probs: Tensor
    c: Tensor | None
    h: Tensor | None


def _take(waiting: list[_Said], answers: dict[Item, Answer]) -> None:
    """Take what is waiting into `answers`."""
    for items, *said in waiting:
        probs, c, h = (None if part is None else part.cpu().numpy() for part in said)
        if not np.isfinite(probs).all():
            utts = " ".join(utt for (utt, _), row in zip(items, probs, strict=True) if not np.isfinite(row).all())
            raise TrnetError(f"scores are not finite on {utts}; check these utterances' features, or train again")
        cs = [None] * len(items) if c is None else c.tolist()
        hs = [None] * len(items) if h is None else h
        answers.update((item, Answer(*answer)) for item, *answer in zip(items, probs, cs, hs, strict=True))
    waiting.clear()
