"""Training of a front-end: what `Trainer` requires of it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trnet.enh.checkpoint import check_frontend_file, save_frontend
from trnet.enh.config import EnhConfig
from trnet.enh.dataset import RATE, Pairs, SegmentBatch, drawn, epoch_batches
from trnet.enh.methods import build_method
from trnet.enh.metrics import METRICS, mean_scores, pesq_of_pair, scores_of_pair
from trnet.enh.schedule import lr_at
from trnet.frontend.clips import enhance_clips
from trnet.runs.history import History
from trnet.train.trainer import Progress, Step, Steps, TrainingJob
from trnet.utils.errors import TrnetError
from trnet.utils.seeding import seed_torch
from trnet.utils.workers import Workers

WORTH = 1000  # utterances of an epoch from which on worker processes read them


@dataclass(frozen=True)
class EnhData:
    """Configuration, pairs to train and to validate on, and the seed of initial weights, segments and dropout."""

    config: EnhConfig
    train: Pairs
    valid: Pairs
    seed: int


class EnhJob(TrainingJob):
    """A network with its method."""

    unit = "s of speech"

    def __init__(self, data: EnhData, device: torch.device, workers: Workers, nj: int) -> None:
        """`workers`: compute metrics and, if `nj` is more than 1, read segments of long epochs."""
        self.data, self.device, self.workers = data, device, workers
        self.title = f"{data.config.frontend} seed {data.seed}"
        utts = data.config.training.utts_per_epoch or len(data.train.utts)
        self._readers = workers if nj > 1 and utts >= WORTH else None

    def begin(self) -> None:
        """Build network and optimizers anew."""
        seed_torch(self.data.seed, "init")
        self.method = build_method(self.data.config, lambda pairs: self.workers.map(pesq_of_pair, pairs))
        self.method.to(self.device)
        self.steps_done = 0
        self._epoch, self._scores = 0, list[float]()
        self._lr = 0.0

    def state(self) -> dict[str, Any]:
        """Weights, optimizers, and the number of steps."""
        return {"method": self.method.state(), "steps": self.steps_done}

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Resume from what `state` returned."""
        self.method.load(state["method"], path)
        self.steps_done = state["steps"]

    def check(self, run: Progress, state: dict[str, Any]) -> None:
        """Check that the front-end of the chosen epoch exists and is whole."""
        check_frontend_file(run.folder.best)

    def steps(self, epoch: int, history: History) -> tuple[int, Steps]:
        """The batches of an epoch."""
        conf = self.data.config.training
        self._epoch = epoch
        self._scores = [row[f"valid_{self.data.config.validation.choose}"] for row in history]
        seed_torch(self.data.seed, epoch, "dropout")
        torch.empty((), dtype=torch.int64).random_()  # as PyTorch's DataLoader, for the results of earlier versions
        samples = max(1, round(conf.segment_s * RATE))
        size = (samples, conf.batch_size, conf.utts_per_epoch)
        count, batches = epoch_batches(self.data.train, *size, self._readers, self.data.seed, epoch)
        self.method.train(True)
        seconds = conf.batch_size * conf.segment_s
        return count, (Step(batch, partial(tuple, batch.utts), 1.0, seconds) for batch in batches)

    def step(self, batch: SegmentBatch) -> dict[str, Tensor]:
        """One step of all optimizers."""
        self.steps_done += 1
        self._lr = lr_at(self.steps_done, self._scores, self.data.config.training)
        self.method.set_lr(self._lr)
        try:
            return self.method.step(batch.noisy.to(self.device), batch.clean.to(self.device))
        except TrnetError as error:
            raise TrnetError(f"{self.title}: epoch {self._epoch}, {' '.join(batch.utts)}: {error}") from None

    def row(self, means: dict[str, float]) -> dict[str, Any]:
        """Learning rate of the last step, and the losses."""
        return {"lr": self._lr} | {f"train_{name}": value for name, value in means.items()}

    def validate(self, run: Progress, epoch: int) -> dict[str, float | None]:
        """Mean scores of the validation utterances, the first of which are logged as audio."""
        self.method.train(False)
        conf, valid, pairs = self.data.config.validation, self.data.valid, []
        for number, utt in enumerate(drawn(valid.utts, conf.utts, "valid")):
            noisy, clean = valid.read(utt)
            enhanced = enhance_clips(self.method.frontend, [noisy], [f"{self.title}: {utt}"])[0]
            pairs.append((enhanced, clean))
            if number < conf.audio and run.logger is not None:
                for kind, samples in (("noisy", noisy), ("clean", clean)) if epoch == 1 else ():
                    run.logger.audio(kind, utt, samples, 0)
                run.logger.audio("enhanced", utt, enhanced, epoch)
        means = mean_scores(self.workers.map(scores_of_pair, pairs))
        return {f"valid_{name}": value for name, value in zip(METRICS, means, strict=True)}

    def best(self) -> dict[str, Any]:
        """Nothing: they are written at once."""
        return {}

    def save_best(self, path: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
        """Write the front-end."""
        save_frontend(path, self.data.config.frontend, self.method)

    def about(self, run: Progress) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def describe(self, row: dict[str, Any]) -> str:
        """The validation score by which the epoch is chosen."""
        return describe_score(row, self.data.config)


def describe_score(row: dict[str, Any], config: EnhConfig) -> str:
    """The validation score of an epoch for a message: ``validation PESQ 2.345``."""
    form = {"pesq": "PESQ {:.3f}", "si_sdr": "SI-SDR {:.2f} dB"}[config.validation.choose]
    return "validation " + form.format(row[f"valid_{config.validation.choose}"])
