"""The teacher: Baseline-c of the same fold and seed, fixed; h_s of the clean training speech, computed once."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from trnet.conditions import CLEAN
from trnet.model.ser import SER
from trnet.runs.checkpoint import load_checkpoint, load_weights
from trnet.train.batches import BatchReader, scoring_batches


@torch.inference_mode()
def teacher_representations(
    teacher: SER,
    checkpoint: Path,
    reader: BatchReader,
    utts: Sequence[str],
) -> dict[str, Tensor]:
    """h_s (D,) float32 of each utterance's clean speech, on the device of what `reader` reads.

    Raises: TrnetError if the checkpoint is missing or of another model.
    """
    load_weights(teacher, load_checkpoint(checkpoint, "model")["model"], checkpoint)
    teacher = teacher.to(reader.store.device).eval()
    h_s: dict[str, Tensor] = {}
    batches = list(scoring_batches([(utt, CLEAN) for utt in utts], reader.store.length, batch_size=32))
    for chunk in tqdm(batches, desc="h_s of the teacher", unit="batch", leave=False):
        batch = reader.read(chunk)
        h = teacher.represent(batch.noisy, batch.real_frames())
        h_s.update((utt, row) for (utt, _), row in zip(chunk, h.float().clone(), strict=True))
    return h_s
