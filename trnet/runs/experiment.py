"""One corpus, one configuration: which runs there are, where they lie, what they are made from.

exp/raw/<system>/fold<k>_seed<s>/         systems that hear no front-end
exp/<frontend>/<system>/fold<k>_seed<s>/  the others; exp/<frontend>/baseline_c and _n link to exp/raw
exp/pieces/fold<k>/                       where training.ctc_weight is not 0: what the fold's CTC spells with
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trnet.conditions import CLEAN, Condition, training_conditions
from trnet.config.experiment import Config, System
from trnet.config.sections import made_of
from trnet.features.archive import check_archive, features_digest
from trnet.features.cache import FeatureStore, Set, room_on, sets_of
from trnet.features.reader import Archives
from trnet.folds import Fold, folds_of
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.runs.aside import make_way
from trnet.runs.checkpoint import check_weights
from trnet.runs.history import History, ends_at, goes_too_far, is_finished
from trnet.runs.kept import check_best, read_best, read_last, say_done
from trnet.train.batches import BatchReader
from trnet.train.ctc import Targets, make_targets
from trnet.train.forward import input_kinds, make_model
from trnet.train.loop import train_runs
from trnet.train.run import Run
from trnet.train.task import Task
from trnet.train.teacher import teacher_representations
from trnet.train.text_normalisation import transcripts_of
from trnet.train.tokenizer import fold_pieces
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest

TEACHER = "baseline_c"


class Group(NamedTuple):
    """Runs of one system and seed that share a trajectory of weights; mostly one run alone."""

    name: str
    folds: tuple[Fold, ...]
    seed: int


@dataclass(frozen=True)
class Experiment:
    """A corpus's data dir, its dumped features, and the folder of its runs."""

    config: Config
    data: DataDir
    dump: Path
    exp: Path
    device: torch.device
    at_once: int = 1  # runs that share the device
    wandb: str | None = None  # project of Weights & Biases

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
        return Archives(self.dump, self.config.frontend_name, self.corpus, self.config.features.num_mel_bins)

    @cached_property
    def store(self) -> FeatureStore:
        """The features that runs read."""
        return FeatureStore(self.archives, self.length, self.device, room_on(self.device, self.at_once, self.dump))

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

    def check_features(self, names: Iterable[str]) -> None:
        """Make sure that all features that systems train on are there, before the first hour is spent.

        Raises: TrnetError as `features_of` does.
        """
        for name in names:
            system = self.config.system(name)
            self.features_of(system, self.conditions(system))

    def stamp(self, name: str, fold: Fold, seed: int) -> Stamp:
        """What a run is made from.

        max_epochs and patience are left out: they say where a run ends, not how it goes, so that more epochs go on
        where fewer ended. CTC is in it only where it is on.
        """
        system = self.config.system(name)
        training = made_of(self.config.training)
        del training["max_epochs"], training["patience"]
        sections = ("encoder", "pooling", "classifier", *(["gate"] if system.input == "both" else []))
        made_from: dict[str, Any] = {
            "system": made_of(system),
            "fold": digest([fold.train, fold.valid]),
            "seed": seed,
            "labels": digest(self.labels),
            "training": training,
            **({"draws": fold.draws} if fold.draws != fold.test_speaker else {}),
            "features": self.features_of(system, self.conditions(system)),
            **{section: made_of(getattr(self.config, section)) for section in sections},
        }
        if self.config.training.ctc_weight:
            texts = transcripts_of(self.data, fold.train, self.config.features).texts
            made_from["ctc"] = {"texts": digest(texts), **made_of(self.config.ctc)}
        if system.target_kind:
            made_from["target"] = features_digest(self.archives.folder(system.target_kind, CLEAN))
        if system.needs_teacher:
            made_from["teacher"] = file_digest(self.teacher_checkpoint(fold, seed))
        return Stamp(self.run_folder(name, fold, seed), "train", made_from)

    def teacher_checkpoint(self, fold: Fold, seed: int) -> Path:
        """The teacher's chosen epoch.

        Raises: TrnetError if it was not trained to its end under this configuration, or is damaged.
        """
        folder = self.run_folder(TEACHER, fold, seed)
        path = folder / "best.pt"
        if not (path.is_file() and self.stamp(TEACHER, fold, seed).done()):
            run = f"fold {fold.number}, seed {seed}"
            raise TrnetError(f"{path}: no teacher for {run} that is trained to its end; run stage 5 first")
        read_best(folder)  # before anything is made from it
        return path

    def trained(self, name: str, fold: Fold, seed: int) -> bool:
        """Whether a run is finished under this very configuration.

        Raises: TrnetError if one of its checkpoints is damaged.
        """
        return self._finished(name, fold, seed) is not None

    def _finished(self, name: str, fold: Fold, seed: int) -> History | None:
        """The history of a run that is finished under this very configuration, None for any other."""
        folder = self.run_folder(name, fold, seed)
        there = all((folder / file).is_file() for file in ("best.pt", "last.pt"))
        if not (there and self.stamp(name, fold, seed).done()):
            return None
        history = read_last(folder)["history"]
        if not ends_at(history, self.config.training):
            return None
        check_best(folder, history)
        return history

    def _waiting(self, name: str, fold: Fold, seed: int) -> Stamp | None:
        """The stamp of a run that is to be trained, what is in its way moved aside; None if it is finished.

        Raises: TrnetError if it cannot be taken up where it stopped.
        """
        folder, stamp = self.run_folder(name, fold, seed), self.stamp(name, fold, seed)
        too_far = partial(goes_too_far, conf=self.config.training)
        make_way(stamp, folder / "last.pt", folder / "best.pt", too_far, ("valid_uar",))
        history = self._finished(name, fold, seed)
        if history is not None:
            say_done(folder, history)
            return None
        if (folder / "last.pt").exists():
            history = read_last(folder)["history"]
            check_best(folder, history, stopped=not is_finished(history, self.config.training))
        return stamp

    def groups(self, names: Iterable[str], folds: Sequence[Fold], seeds: Iterable[int]) -> list[Group]:
        """All runs of systems, folds and seeds, those together that share a trajectory of weights.

        They do where they train on the same utterances; not with a teacher, who is another in each fold, nor with a
        learning rate that follows each fold's own validation.
        """
        seeds, grouped = list(seeds), {}
        for name in names:
            shares = not (self.config.system(name).needs_teacher or self.config.training.plateau_patience)
            for fold in folds:
                for seed in seeds:
                    key = (name, fold.draws if shares else fold.number, seed)
                    grouped.setdefault(key, []).append(fold)
        found = [Group(name, tuple(members), seed) for (name, _, seed), members in grouped.items()]
        return sorted(found, key=lambda group: group.folds[0].number)

    def hold(self, groups: Iterable[Group]) -> None:
        """Read all features that runs train on into memory, as far as they fit.

        Raises: TrnetError if features are missing or damaged.
        """
        sets, utts = set(), set()
        for group in groups:
            sets |= self._sets(group.name)
            utts |= {utt for fold in group.folds for utt in (*fold.train, *fold.valid)}
        self.store.hold(sets, utts)

    def pending(self, groups: Iterable[Group]) -> list[Group]:
        """The groups that have something to train, or to complain of; the others are said to be up to date."""
        found = []
        for group in groups:
            try:
                histories = [self._finished(group.name, fold, group.seed) for fold in group.folds]
            except TrnetError:  # for the run itself to say
                histories = [None]
            if None in histories:
                found.append(group)
                continue
            for fold, history in zip(group.folds, histories, strict=True):
                say_done(self.run_folder(group.name, fold, group.seed), history)
        return found

    def _sets(self, name: str) -> set[Set]:
        system = self.config.system(name)
        needed = {system.target_kind, "noisy" if system.beta else None} - {None}  # for X_s and h_s
        return sets_of(input_kinds(system), self.conditions(system)) | sets_of(needed, [CLEAN])

    def train(self, name: str, fold: Fold, seed: int) -> None:
        """Train one run, or say that it is up to date; see `train_group`."""
        self.train_group(Group(name, (fold,), seed))

    def train_group(self, group: Group, position: int | None = None) -> None:
        """Train those runs of a group that are not up to date; `position`: line of the progress bar.

        Raises: TrnetError for missing features or teacher, a class that a fold does not train on, a loss that is not
            finite, or a run that another process trains; after the others were trained, for one that is damaged.
        """
        name, folds, seed = group
        with contextlib.ExitStack() as locks:
            for fold in folds:
                locks.enter_context(only_one(self.run_folder(name, fold, seed)))
            stamps, damaged = {}, []
            for fold in folds:
                try:
                    stamps[fold] = self._waiting(name, fold, seed)
                except TrnetError as error:
                    damaged.append(error)
            self._train({fold: stamp for fold, stamp in stamps.items() if stamp is not None}, name, seed, position)
            if damaged:
                raise damaged[0]

    def _train(self, stamps: dict[Fold, Stamp], name: str, seed: int, position: int | None) -> None:
        if not stamps:
            return
        group = Group(name, tuple(stamps), seed)
        self._check_classes(group.folds[0])
        self.hold([group])
        task = self._task(group)
        for stamp in stamps.values():
            stamp.begin()
        runs = [Run(task, fold, self.run_folder(name, fold, seed)) for fold in stamps]
        train_runs(task, runs, position, self.wandb)
        for stamp in stamps.values():
            stamp.finish()

    def _task(self, group: Group) -> Task:
        system, fold = self.config.system(group.name), group.folds[0]
        return Task(
            name=group.name,
            system=system,
            utts=fold.train,
            draws=fold.draws,
            seed=group.seed,
            config=self.config,
            store=self.store,
            labels=self.labels,
            classes=self.classes,
            conditions=self.conditions(system),
            h_s=self._h_s(fold, group.seed) if system.beta else None,
            start=self._teacher_weights(fold, group.seed) if system.init == "teacher" else None,
            targets=self._ctc_targets(fold) if self.config.training.ctc_weight else None,
        )

    def _check_classes(self, fold: Fold) -> None:
        there = {self.labels[utt] for utt in fold.train}
        if missing := [name for index, name in enumerate(self.classes) if index not in there]:
            raise TrnetError(
                f"fold {fold.number}: nothing to train on of class {', '.join(missing)} once {fold.test_speaker} and "
                f"{fold.valid_speaker} are held out; map it to another class or to null in conf/labels.yaml"
            )

    def _h_s(self, fold: Fold, seed: int) -> dict[str, torch.Tensor]:
        teacher = make_model(self.config, self.config.system(TEACHER), len(self.classes))
        reader = BatchReader(self.store, self.labels, ["noisy"])
        return teacher_representations(teacher, self.teacher_checkpoint(fold, seed), reader, fold.train)

    def _teacher_weights(self, fold: Fold, seed: int) -> dict[str, torch.Tensor]:
        path = self.teacher_checkpoint(fold, seed)
        weights = read_best(path.parent)["model"]
        check_weights(make_model(self.config, self.config.system(TEACHER), len(self.classes)), weights, path)
        return weights

    def _ctc_targets(self, fold: Fold) -> Targets:
        transcripts = transcripts_of(self.data, fold.train, self.config.features)
        pieces = fold_pieces(self.exp / "pieces" / f"fold{fold.number}", transcripts.texts, self.config.ctc)
        return make_targets(transcripts, pieces, self.length, self.config)
