"""A trained system's answers to utterances under their conditions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from trnet.config import System
from trnet.errors import TrnetError
from trnet.train.data import BatchReader, scoring_batches
from trnet.train.forward import run_model
from trnet.train.store import Item


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
    said = []  # all of it first, so that a GPU is waited for once
    for chunk in scoring_batches(items, reader.store.length, batch_size):
        out = run_model(model, system, reader.read(chunk))
        said.append((chunk, torch.softmax(out.logits.float(), dim=1), out.c, out.h.float() if with_h else None))
    for chunk, *answer in said:
        probs, cs, hs = (None if part is None else part.cpu().numpy() for part in answer)
        if not np.isfinite(probs).all():
            utts = " ".join(utt for (utt, _), row in zip(chunk, probs, strict=True) if not np.isfinite(row).all())
            raise TrnetError(f"scores are not finite on {utts}; check these utterances' features, or train again")
        cs = [None] * len(chunk) if cs is None else cs.tolist()
        hs = [None] * len(chunk) if hs is None else hs
        answers.update((item, Answer(*each)) for item, *each in zip(chunk, probs, cs, hs, strict=True))
    return answers
