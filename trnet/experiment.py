"""One corpus, one configuration: which runs there are, where they lie, what they are made from.

exp/raw/<system>/fold<k>_seed<s>/         systems that hear no front-end
exp/<frontend>/<system>/fold<k>_seed<s>/  the others; exp/<frontend>/baseline_c and _n link to exp/raw
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from trnet.conditions import CLEAN, Condition, training_conditions
from trnet.config import Config, System, as_dict
from trnet.errors import TrnetError
from trnet.features.archive import check_archive, features_digest
from trnet.folds import Fold, folds_of
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.lock import only_one
from trnet.stamp import Stamp, digest, file_digest
from trnet.train.checkpoint import load_checkpoint
from trnet.train.data import Archives
from trnet.train.forward import input_kinds, make_model
from trnet.train.loop import Task, ends_at, train_run
from trnet.train.teacher import teacher_representations

TEACHER = "baseline_c"


@dataclass(frozen=True)
class Experiment:
    """A corpus's data dir, its dumped features, and the folder of its runs."""

    config: Config
    data: DataDir
    dump: Path
    exp: Path
    device: torch.device

    @property
    def corpus(self) -> str:
        """Name of the corpus: that of its data dir."""
        return self.data.path.name

    @cached_property
    def folds(self) -> list[Fold]:
        """All folds of the corpus."""
        return folds_of(self.data, self.config.folds)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Emotion classes in C order."""
        return tuple(sorted(set(self.data["utt2emo"].values())))

    @cached_property
    def labels(self) -> dict[str, int]:
        """Class index of each utterance."""
        return {utt: self.classes.index(emotion) for utt, emotion in self.data["utt2emo"].items()}

    @cached_property
    def archives(self) -> Archives:
        """The dumped features."""
        return Archives(self.dump, self.config.frontend_name, self.corpus)

    @cached_property
    def length(self) -> dict[str, int]:
        """Frames of each utterance (the same under every condition)."""
        return self.archives.lengths(CLEAN)

    def conditions(self, system: System) -> tuple[Condition, ...]:
        """What a system may hear in training and validation: never the unmatched noise."""
        if system.conditions == "clean":
            return (CLEAN,)
        return tuple(training_conditions(self.config.simulation.train_noise, self.config.simulation.snrs))

    def system_folder(self, name: str) -> Path:
        """Where the runs of a system lie."""
        hears = self.config.system(name).hears_front_end
        return self.exp / (self.config.frontend_name if hears else "raw") / name

    def run_folder(self, name: str, fold: Fold, seed: int) -> Path:
        """Where one run lies."""
        return self.system_folder(name) / f"fold{fold.number}_seed{seed}"

    def link_shared_systems(self, names: list[str]) -> None:
        """Let ``exp/<frontend>/<system>`` lead to the runs that hear no front-end."""
        for name in names:
            link = self.exp / self.config.frontend_name / name
            if self.config.system(name).hears_front_end or link.is_symlink() or link.exists():
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                link.symlink_to(os.path.relpath(self.system_folder(name), link.parent))

    @cached_property
    def _frontend(self) -> dict[str, Any] | None:
        """Fingerprint of the front-end, None (said once) where it cannot be built: dumps may travel without it."""
        try:
            config = {"frontend": self.config.frontend, "frontend_conf": self.config.frontend_conf}
            return build_frontend(config).fingerprint()
        except TrnetError as error:
            print(f"{self.dump / self.config.frontend_name}: taken as it is, its front-end cannot be had ({error})")
            return None

    def features_of(self, system: System, conditions: Collection[Condition]) -> dict[str, str]:
        """Digests of the features that a system hears under some conditions, by folder below dump.

        Raises: TrnetError if they are missing or made from something else than this configuration says.
        """
        found = {}
        for kind in input_kinds(system):
            frontend = self._frontend if kind == "enhanced" else None
            for condition in conditions:
                folder = self.archives.folder(kind, condition)
                data = self.data.path.parent / folder.name
                check_archive(folder, data, self.config.features, frontend)
                found[str(folder.relative_to(self.dump))] = features_digest(folder)
        return found

    def stamp(self, name: str, fold: Fold, seed: int) -> Stamp:
        """What a run is made from.

        max_epochs and patience are left out: they say where a run ends, not how it goes, so that more epochs go on
        where fewer ended.
        """
        system = self.config.system(name)
        training = as_dict(self.config.training)
        del training["max_epochs"], training["patience"]
        sections = ("encoder", "pooling", "classifier", *(["gate"] if system.input == "both" else []))
        made_from: dict[str, Any] = {
            "system": as_dict(system),
            "fold": digest([fold.train, fold.valid]),
            "seed": seed,
            "labels": digest(self.labels),
            "training": training,
            "features": self.features_of(system, self.conditions(system)),
            **{section: as_dict(getattr(self.config, section)) for section in sections},
        }
        if system.alpha:
            made_from["target"] = features_digest(self.archives.folder("noisy", CLEAN))
        if system.needs_teacher:
            made_from["teacher"] = file_digest(self.teacher_checkpoint(fold, seed))
        return Stamp(self.run_folder(name, fold, seed), "train", made_from)

    def teacher_checkpoint(self, fold: Fold, seed: int) -> Path:
        """The teacher's chosen epoch.

        Raises: TrnetError if it was not trained to its end under this configuration.
        """
        path = self.run_folder(TEACHER, fold, seed) / "best.pt"
        if not (path.is_file() and self.stamp(TEACHER, fold, seed).done()):
            run = f"fold {fold.number}, seed {seed}"
            raise TrnetError(f"{path}: no teacher for {run} that is trained to its end; run stage 5 first")
        return path

    def trained(self, name: str, fold: Fold, seed: int) -> bool:
        """Whether a run is finished under this very configuration."""
        folder = self.run_folder(name, fold, seed)
        there = all((folder / file).is_file() for file in ("best.pt", "last.pt"))
        if not (there and self.stamp(name, fold, seed).done()):
            return False
        return ends_at(load_checkpoint(folder / "last.pt")["history"], self.config.training)

    def train(self, name: str, fold: Fold, seed: int) -> None:
        """Train one run, or say that it is up to date.

        Raises: TrnetError for missing features or teacher, a loss that is not finite, or a run that another process
            trains.
        """
        with only_one(self.run_folder(name, fold, seed)):
            self._train(name, fold, seed)

    def _train(self, name: str, fold: Fold, seed: int) -> None:
        folder, stamp = self.run_folder(name, fold, seed), self.stamp(name, fold, seed)
        if self.trained(name, fold, seed):
            print(f"{folder}: up to date")
            return
        if changed := stamp.changed():
            print(f"{folder}: trained anew, changed: {', '.join(changed)}")
        stamp.begin()
        system = self.config.system(name)
        task = Task(
            name=name,
            system=system,
            fold=fold,
            seed=seed,
            config=self.config,
            archives=self.archives,
            labels=self.labels,
            classes=self.classes,
            length=self.length,
            conditions=self.conditions(system),
            h_s=self._h_s(fold, seed) if system.needs_teacher else None,
            device=self.device,
        )
        train_run(task, folder)
        stamp.finish()

    def _h_s(self, fold: Fold, seed: int) -> dict[str, torch.Tensor]:
        teacher = make_model(self.config, self.config.system(TEACHER), len(self.classes))
        checkpoint = self.teacher_checkpoint(fold, seed)
        return teacher_representations(
            teacher, checkpoint, self.archives, self.labels, fold.train, self.length, self.device
        )
