"""Where the runs of trained front-ends lie, ``exp/<frontend>/seed<s>/``, and what they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from trnet.config import as_dict, made_of
from trnet.enh.config import EnhConfig
from trnet.enh.dataset import Pairs
from trnet.enh.loop import FRONTEND, LAST, SCORES, Task, check_chosen, read_last, train_run
from trnet.enh.schedule import ends_at, goes_too_far
from trnet.kaldi.validate import PAIR_TABLES, valid_data_dir
from trnet.runs.aside import make_way
from trnet.runs.checkpoint import way_out
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, dir_digest, file_digest, read_stamp


@dataclass(frozen=True)
class TrainedFrontEnd:
    """A front-end with a seed: its run."""

    config: EnhConfig
    train_data: Path
    valid_data: Path
    exp: Path
    seed: int

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.exp / self.config.frontend / f"seed{self.seed}"

    def stamp(self) -> Stamp:
        """What it is made from.

        max_epochs and patience are left out: they say where a run ends, not how it goes, so that more epochs go on
        where fewer ended.
        """
        made_from = as_dict(self.config) | {"training": made_of(self.config.training)}
        del made_from["training"]["max_epochs"], made_from["training"]["patience"], made_from["validation"]["audio"]
        parts = {"train_data": self.train_data, "valid_data": self.valid_data}
        made_from |= {name: dir_digest(folder) for name, folder in parts.items()} | {"seed": self.seed}
        return Stamp(self.folder, "train", made_from)

    def trained(self) -> bool:
        """Whether it is finished under this very configuration.

        Raises: TrnetError if one of its checkpoints is damaged.
        """
        stamp, path = self.stamp(), self.folder / FRONTEND
        if not all((self.folder / name).is_file() for name in (FRONTEND, LAST)) or not stamp.done():
            return False
        if not ends_at(read_last(self.folder)["history"], self.config.training, self.config.validation):
            return False
        made = read_stamp(stamp.path).get("results", {}).get(FRONTEND)
        if made is not None and made != file_digest(path):
            raise TrnetError(f"{path}: is damaged, or not what was trained here; {way_out(path)}")
        return True

    def train(self, device: torch.device, nj: int, wandb: str | None = None) -> None:
        """Train it, or say that it is up to date; `wandb`: project that gets the curves too.

        Raises: TrnetError for missing data, a loss that is not finite, a checkpoint that is damaged, or a run that
            another process trains.
        """
        with only_one(self.folder):
            stamp = self.stamp()
            conf = self.config
            too_far = partial(goes_too_far, training=conf.training, validation=conf.validation)
            make_way(stamp, self.folder / LAST, self.folder / FRONTEND, too_far, SCORES)
            if self.trained():
                print(f"{self.folder}: up to date")
                return
            if (self.folder / LAST).exists():
                check_chosen(self.folder)
            stamp.begin()
            pairs = [Pairs(valid_data_dir(folder, PAIR_TABLES)) for folder in (self.train_data, self.valid_data)]
            train_run(Task(self.config, *pairs, self.seed, device, nj, wandb), self.folder)
            stamp.finish({FRONTEND: file_digest(self.folder / FRONTEND)})
