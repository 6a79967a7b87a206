"""What is trained, and the loss of one batch of it."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trnet.conditions import Condition
from trnet.config.experiment import Config, System
from trnet.features.cache import FeatureStore
from trnet.model.batch import Batch
from trnet.model.ctc import CTCHead, tapped
from trnet.train.batches import BatchReader
from trnet.train.ctc import Targets, batch_loss
from trnet.train.forward import input_kinds, run_model
from trnet.train.losses import Losses, high_level_loss, low_level_loss, trnet_losses


@dataclass(frozen=True)
class Task:
    """All that one trajectory of weights is trained from: a system with a seed on one set of utterances."""

    name: str
    system: System
    utts: tuple[str, ...]  # what is trained on
    draws: str  # names the draws of initial weights, conditions, batches and dropout, beside the seed
    seed: int
    config: Config
    store: FeatureStore
    labels: Mapping[str, int]  # class index of each utterance
    classes: tuple[str, ...]
    conditions: tuple[Condition, ...]  # what training and validation hear
    h_s: Mapping[str, Tensor] | None  # of the teacher, where the system needs it
    start: Mapping[str, Tensor] | None = None  # weights of the SER module at the start, where they are the teacher's
    targets: Targets | None = None  # of CTC, where training.ctc_weight is not 0

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.store.device

    def reader(self, training: bool) -> BatchReader:
        """Reads what the system hears, and in training also X_s and h_s where its losses need them."""
        kinds = input_kinds(self.system)
        if not training:
            return BatchReader(self.store, self.labels, kinds)
        return BatchReader(self.store, self.labels, kinds, self.system.target_kind, self.h_s)


def losses_of(task: Task, model: nn.Module, batch: Batch, ctc: CTCHead | None = None) -> Losses:
    """Eq. 8 for one batch, and with a head the CTC loss on it."""
    bf16 = task.config.training.precision == "bf16"
    tap = nullcontext([]) if ctc is None else tapped(model, task.config.ctc.tap)
    with torch.autocast(task.device.type, torch.bfloat16, enabled=bf16), tap as heard:
        out = run_model(model, task.system, batch)
    low = high = None
    if task.system.alpha:
        assert batch.clean is not None and out.compensated is not None
        low = low_level_loss(batch.clean, out.compensated, batch.real_frames())
    if task.system.beta:
        assert batch.h_s is not None
        high = high_level_loss(batch.h_s, out.h)
    losses = trnet_losses(task.system, out.logits, batch.labels, low, high)
    if ctc is None:
        return losses
    assert task.targets is not None
    return losses.with_ctc(batch_loss(ctc, *heard[0], batch, task.targets), task.config.training.ctc_weight)
