"""The runs of trained front-ends, ``exp/<frontend>/seed<s>/``: what they depend on, and which are finished."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from trnet.enh.checkpoint import check_frontend_file
from trnet.enh.config import EnhConfig
from trnet.enh.dataset import Pairs
from trnet.enh.job import EnhData, EnhJob
from trnet.enh.metrics import METRICS
from trnet.kaldi.validate import PAIR_TABLES, valid_data_dir
from trnet.runs.checkpoint import way_out
from trnet.runs.folder import RunFolder
from trnet.runs.history import Rule
from trnet.runs.record import write_record
from trnet.train.trainer import Progress, Trainer
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, dir_digest, file_digest, read_stamp
from trnet.utils.workers import Workers

log = logging.getLogger(__name__)

FRONTEND = "frontend.pt"


@dataclass(frozen=True)
class FrontEndRun:
    """A front-end trained with a seed."""

    config: EnhConfig
    train_data: Path
    valid_data: Path
    exp: Path
    seed: int

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.exp / self.config.frontend / f"seed{self.seed}"

    @cached_property
    def files(self) -> RunFolder:
        """Checkpoints and history."""
        needed = ("method", "history", "steps", "trained_with")
        return RunFolder(self.folder, FRONTEND, needed, [f"valid_{name}" for name in METRICS], ("epoch", "lr"))

    @property
    def rule(self) -> Rule:
        """How the epoch is chosen, and where the run ends."""
        conf = self.config
        return Rule(f"valid_{conf.validation.choose}", conf.training.max_epochs, conf.training.patience)

    def stamp(self) -> Stamp:
        """What it depends on.

        max_epochs and patience are left out: they decide where a run ends, not its course, so that more epochs continue
        an existing run.
        """
        made_from = self.config.plain() | {"training": self.config.training.record()}
        del made_from["training"]["max_epochs"], made_from["training"]["patience"], made_from["validation"]["audio"]
        parts = {"train_data": self.train_data, "valid_data": self.valid_data}
        made_from |= {name: dir_digest(folder) for name, folder in parts.items()} | {"seed": self.seed}
        return Stamp(self.folder, "train", made_from)

    def trained(self) -> bool:
        """Whether it is finished with this configuration.

        Raises:
            TrnetError: If one of its checkpoints is damaged.
        """
        stamp, files = self.stamp(), self.files
        if not (files.best.is_file() and files.last.is_file() and stamp.done()):
            return False
        if not self.rule.ends_at(files.read_last()["history"]):
            return False
        made = read_stamp(stamp.path).get("results", {}).get(FRONTEND)
        if made is not None and made != file_digest(files.best):
            raise TrnetError(f"{files.best}: is damaged, or not the result of this run; {way_out(files.best)}")
        return True

    def train(
        self, device: torch.device, nj: int, wandb: str | None = None, about: Mapping[str, Any] | None = None
    ) -> None:
        """Train it, unless it is up to date; `wandb` is a project of Weights & Biases, `about` is for ``run.json``.

        Raises:
            TrnetError: If data are missing, a loss is not finite, a checkpoint is damaged, or the run is in training.
        """
        with only_one(self.folder):
            stamp = self.stamp()
            self.files.move_conflicting_aside(stamp, self.rule)
            self.files.settle(self.rule.best(self.files.history()))
            if self.trained():
                log.info("%s: up to date", self.folder)
                return
            if self.files.last.exists():
                check_frontend_file(self.files.best)
            stamp.begin()
            train, valid = (Pairs(valid_data_dir(folder, PAIR_TABLES)) for folder in (self.train_data, self.valid_data))
            if device.type == "cpu":
                keep_freed_memory()  # CMGAN a fifth faster
            with Workers(nj, "scoring") as workers:
                job = EnhJob(EnhData(self.config, train, valid, self.seed), device, workers, nj)
                parts = {"train": train.utts, "valid": valid.utts}
                record = {"frontend": self.config.frontend, "seed": self.seed, **(about or {}), "parts": parts}
                write_record(self.folder, job.title, self.config, device, record)
                progress = Progress(self, job.title, self.files, self.rule, device)
                Trainer(job, [progress], wandb).train()
            stamp.finish({FRONTEND: file_digest(self.files.best)})
