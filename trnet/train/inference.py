"""Predictions of a trained system for utterances under their conditions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trnet.features.cache import Item
from trnet.model.batch import Output
from trnet.model.systems import run_system
from trnet.train.batches import BatchReader, scoring_batches
from trnet.train.static_step import CannotCompile, compiled_outputs, say_once, widened
from trnet.train.widths import Widths
from trnet.utils.device import in_halves
from trnet.utils.errors import TrnetError

GPU_BATCH = 256  # items a batch on a GPU, where larger ones are faster
FEWEST = 0.25  # of a whole batch for which it pays to fill it
LOOK_EVERY = 64  # batches between two copies from the device, for which a GPU has to stop


class UtterancePrediction(NamedTuple):
    """Class probabilities (classes,) float32; the SNR coefficient c where the system has it; h (D,) if asked for."""

    probs: np.ndarray
    c: float | None
    h: np.ndarray | None = None


class _Computed(NamedTuple):
    """Items, and probs (B, classes), c (B,) and h (B, D) where they are wanted, on the device."""

    items: Sequence[Item]
    probs: Tensor
    c: Tensor | None
    h: Tensor | None


@torch.inference_mode()
def infer(
    model: nn.Module,
    reader: BatchReader,
    items: Sequence[Item],
    batch_size: int,
    with_h: bool = False,
    widths: Widths | None = None,
) -> dict[Item, UtterancePrediction]:
    """What a trained system predicts for every item; it is left in eval mode. Always float32.

    Args:
        reader: Reads the kinds of features that the system reads.
        items: Clean utterance ids with their conditions.
        batch_size: Items a batch; on a GPU `GPU_BATCH` if that is more.
        with_h: Whether the predictions hold the representation h.
        widths: Of batches for which the network is compiled; None: it is not.

    Raises:
        TrnetError: For features that are missing, or probabilities that are not finite.
    """
    model.eval()
    found: dict[Item, UtterancePrediction] = {}
    waiting: list[_Computed] = []
    if reader.waves is None:  # a pretrained network takes gigabytes for so many waveforms
        batch_size = batch_size_on(reader.cache.device, batch_size)
    for chunk in scoring_batches(items, reader.cache.length, batch_size):
        filled = widths is not None and len(chunk) >= batch_size * FEWEST
        try:
            computed = _compute(model, reader, chunk, batch_size, with_h, widths if filled else None)
        except CannotCompile as error:
            say_once(f"torch.compile: {error}; scored without it")
            widths = None
            computed = _compute(model, reader, chunk, batch_size, with_h, None)
        waiting += computed
        if len(waiting) >= LOOK_EVERY:
            _collect(waiting, found)
    _collect(waiting, found)
    return found


def _compute(
    model: nn.Module,
    reader: BatchReader,
    items: Sequence[Item],
    batch_size: int,
    with_h: bool,
    widths: Widths | None,
) -> list[_Computed]:
    """One batch, or, where a GPU's memory holds no more, its parts, which are not compiled."""

    def compute(part: Sequence[Item]) -> list[_Computed]:
        if widths is None or len(part) < len(items):
            out = run_system(model, reader.read(part))
        else:
            out = _compiled_outputs(model, reader, part, batch_size, widths)
        probs = torch.softmax(out.logits.float(), dim=1)
        return [_Computed(part, probs, out.c, out.h.float() if with_h else None)]

    return in_halves(compute, items)


def _compiled_outputs(
    model: nn.Module, reader: BatchReader, items: Sequence[Item], batch_size: int, widths: Widths
) -> Output:
    """What a system gives for a batch, compiled for whole batches: the last item fills it."""
    whole = reader.read([*items, *[items[-1]] * (batch_size - len(items))])
    found = compiled_outputs(model, widened(whole, *widths))
    count = len(items)
    return Output(found.logits[:count], found.h[:count], None if found.c is None else found.c[:count])


def batch_size_on(device: torch.device, batch_size: int) -> int:
    """Items a batch where nothing is trained: on a GPU more than on a CPU."""
    return max(batch_size, GPU_BATCH) if device.type == "cuda" else batch_size


def _collect(waiting: list[_Computed], found: dict[Item, UtterancePrediction]) -> None:
    """Copy what is waiting from the device into `found`."""
    for batch in waiting:
        items, probs = batch.items, batch.probs.cpu().numpy()
        if not np.isfinite(probs).all():
            utts = " ".join(utt for (utt, _), row in zip(items, probs, strict=True) if not np.isfinite(row).all())
            raise TrnetError(f"scores are not finite on {utts}; check these utterances' features, or train again")
        cs = [None] * len(items) if batch.c is None else batch.c.tolist()
        hs = [None] * len(items) if batch.h is None else batch.h.cpu().numpy()
        found.update((item, UtterancePrediction(*row)) for item, *row in zip(items, probs, cs, hs, strict=True))
    waiting.clear()
