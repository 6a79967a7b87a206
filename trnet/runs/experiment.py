"""One corpus, one configuration: which runs there are, what they are made from, which are finished.

exp/raw/<system>/fold<k>_seed<s>/         systems that do not use the front-end
exp/<frontend>/<system>/fold<k>_seed<s>/  the others; exp/<frontend>/baseline_c and _n link to exp/raw
"""

import contextlib
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from trnet.audio.crop import crop_settings
from trnet.conditions import CLEAN, Condition, training_conditions
from trnet.config import Config, source_digest
from trnet.features import feature_dim
from trnet.features.archive import check_archive, features_digest
from trnet.features.reader import FeatureReader
from trnet.features.waves import WaveReader, check_enhanced
from trnet.folds import Fold
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.runs.dataset import Dataset
from trnet.runs.history import History, Rule
from trnet.runs.layer_choice import FOLDER, TABLE, WAY_OUT, Layer, read_layers
from trnet.runs.spec import RunSpec
from trnet.utils.errors import TrnetError
from trnet.utils.stamp import Stamp, digest

log = logging.getLogger(__name__)

TEACHER = "baseline_c"


@dataclass(frozen=True)
class Experiment:
    """A corpus's data dir, its dumped features, and the folder of its runs.

    Where `features.layer` is `auto`, the features of a run are those of its fold's layer: `of` a fold gives the
    experiment that names it, and all that reads features asks that one.
    """

    config: Config
    data: DataDir
    dump: Path
    exp: Path
    layers: Mapping[int, Layer] | None = None  # of folds by number, where `features.layer` is `auto`

    @cached_property
    def dataset(self) -> Dataset:
        """Utterances, labels, folds, transcripts."""
        return Dataset(self.data, self.config)

    def with_layers(self) -> Self:
        """With the layers that folds have, where `features.layer` is `auto`; TrnetError if they are not chosen yet."""
        if not self.config.features.by_fold:
            return self
        return replace(self, layers=read_layers(self.exp, self.config, self.dataset))

    def of(self, fold: Fold) -> Self:
        """The experiment with a fold's own layer; itself where the settings name one. TrnetError if it has none."""
        if self.layers is None:
            return self
        if fold.number not in self.layers:
            path = self.exp / FOLDER / TABLE
            raise TrnetError(f"{path}: has no layer for fold {fold.number}; {WAY_OUT}")
        return self._by_layer[self.layers[fold.number]]

    @cached_property
    def _by_layer(self) -> dict[Layer, Self]:
        features = self.config.features
        named = {layer: features.replace(layer=layer) for layer in (self.layers or {}).values()}
        return {
            layer: replace(self, config=self.config.replace(features=features), layers=None)
            for layer, features in named.items()
        }

    def parts(self, folds: Iterable[Fold]) -> list[tuple[Self, list[Fold]]]:
        """Folds, those together that have one layer, and the experiment of each layer."""
        found: dict[str, tuple[Self, list[Fold]]] = {}
        for fold in folds:
            mine = self.of(fold)
            found.setdefault(mine.config.features.folder, (mine, []))[1].append(fold)
        return list(found.values())

    @property
    def rule(self) -> Rule:
        """Which epoch of a run is chosen, and where it ends."""
        score = "valid_uar" if self.config.folds.hold_out else None
        return Rule(score, self.config.training.max_epochs, self.config.training.patience)

    @cached_property
    def reader(self) -> FeatureReader:
        """The dumped features."""
        features = self.config.features
        root = self.dump / features.folder
        return FeatureReader(root, self.config.frontend_name, self.dataset.corpus, feature_dim(features))

    @cached_property
    def gate_reader(self) -> FeatureReader | None:
        """The dumped log-mels of the gate, where the features are others."""
        mels = self.config.gate_features
        if mels is None:
            return None
        return FeatureReader(self.dump, self.config.frontend_name, self.dataset.corpus, mels.num_mel_bins)

    @cached_property
    def wave_reader(self) -> WaveReader | None:
        """The waveforms, where a system mixes them."""
        if not any(map(self.config.mixes_waveforms, self.config.systems)):
            return None
        features = self.config.features
        return WaveReader(self.data.path.parent, self.dump, self.config.frontend_name, self.dataset.corpus, features)

    def conditions(self, name: str) -> tuple[Condition, ...]:
        """The conditions that a system is trained and validated on: never the unmatched noise."""
        if self.config.system(name).conditions == "clean":
            return (CLEAN,)
        return tuple(training_conditions(self.config.simulation.train_noise, self.config.simulation.snrs))

    def system_folder(self, name: str) -> Path:
        """Where the runs of a system lie."""
        uses = self.config.system(name).uses_frontend
        return self.exp / (self.config.frontend_name if uses else "raw") / name

    def run(self, system: str, fold: Fold, seed: int) -> RunSpec:
        """One run."""
        return RunSpec(system, fold, seed, self.system_folder(system) / f"fold{fold.number}_seed{seed}")

    def runs(self, names: Iterable[str], folds: Sequence[Fold], seeds: Sequence[int]) -> list[RunSpec]:
        """All runs of systems, folds and seeds."""
        return [self.run(name, fold, seed) for name in names for fold in folds for seed in seeds]

    def beside(self, runs: Iterable[RunSpec], fold: Fold) -> list[RunSpec]:
        """The runs that read features of a fold's layer."""
        mine = self.of(fold)
        return [run for run in runs if self.of(run.fold) == mine]

    def groups(self, runs: Iterable[RunSpec]) -> list[tuple[RunSpec, ...]]:
        """Runs, those together that share a trajectory of weights; ordered by layer and fold.

        They do where a system with a seed trains on the same utterances; not with a teacher, who is another in each
        fold, nor with a learning rate that follows each fold's own validation.
        """
        grouped: dict[tuple[str, str, str | int, int], list[RunSpec]] = {}
        for run in runs:
            shares = not (self.config.needs_teacher(run.system) or self.config.training.plateau)
            folder = self.of(run.fold).config.features.folder
            key = (folder, run.system, run.fold.draws if shares else run.fold.number, run.seed)
            grouped.setdefault(key, []).append(run)
        ordered = sorted(grouped.items(), key=lambda item: (item[0][0], item[1][0].fold.number))
        return [tuple(members) for _, members in ordered]

    def link_shared_systems(self, names: Iterable[str]) -> None:
        """Let ``exp/<frontend>/<system>`` lead to the runs that do not use the front-end."""
        for name in names:
            link = self.exp / self.config.frontend_name / name
            if self.config.system(name).uses_frontend or link.is_symlink() or link.exists():
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                link.symlink_to(os.path.relpath(self.system_folder(name), link.parent))

    @cached_property
    def frontend_fingerprint(self) -> dict[str, Any] | None:
        """Of the front-end; None (logged once) where it cannot be built: dumps may travel without it."""
        try:
            return build_frontend(self.config.frontend_settings).fingerprint()
        except TrnetError as error:
            folder = self.dump / self.config.frontend_name
            log.info("%s: using the existing dump; the front-end is not available (%s)", folder, error)
            return None

    def features_of(self, name: str, conditions: Collection[Condition]) -> dict[str, str]:
        """Digests of the features that a system reads, of whichever fold, by folder below dump.

        Of one that mixes waveforms, those of the log-mels of each set of these, and of clean speech's hidden states.

        Raises:
            TrnetError: If they do not fit.
        """
        if self.layers is not None:
            parts = [part.features_of(name, conditions) for part in self._by_layer.values()]
            return {folder: each for part in parts for folder, each in part.items()}
        found, system = {}, self.config.system(name)
        mixes, clean = self.config.mixes_waveforms(name), {"noisy", self.config.target_kind(name)}
        readers = [(self.reader, self.config.features)]
        if self.gate_reader is not None and (mels := self.config.model(name).gate_features) is not None:
            readers.append((self.gate_reader, mels))
        for kind in system.inputs:
            frontend = self.frontend_fingerprint if kind == "enhanced" else None
            for condition in conditions:
                name = condition.data_name(self.dataset.corpus)
                data = self.data.path.parent / name
                audio = self.dump / self.config.frontend_name / name if kind == "enhanced" else None
                if mixes and audio is not None:
                    check_enhanced(audio, self.config.features)
                for reader, features in readers:
                    if mixes and reader is self.reader and not (condition == CLEAN and kind in clean):
                        continue  # its hidden states are made of the mixture
                    folder = reader.folder(kind, condition)
                    check_archive(folder, data, features, frontend, audio)
                    found[str(folder.relative_to(self.dump))] = features_digest(folder)
        return found

    def check_features(self, names: Iterable[str]) -> None:
        """Make sure that all features that systems train on are there, before the first hour is spent."""
        for name in names:
            self.features_of(name, self.conditions(name))

    def stamp(self, run: RunSpec) -> Stamp:
        """What a run is made from.

        max_epochs and patience are left out: they decide where a run ends, not how it goes, so that a run of fewer
        epochs goes on. So is compile, which changes no more than last bits. CTC is in it only where it is used.
        The layer of the features is in the names of their folders.
        """
        if self.layers is not None:
            return self.of(run.fold).stamp(run)
        name, fold, config = run.system, run.fold, self.config
        system, training = config.system(name), config.training.record()
        del training["max_epochs"], training["patience"]
        training.pop("compile", None)
        sections = ("encoder", "pooling", "classifier", *(["gate"] if system.kind == "trnet" else []))
        made_from: dict[str, Any] = {
            "system": system.record(),
            "fold": digest([fold.train, fold.valid]),
            "seed": run.seed,
            "labels": digest(self.dataset.labels),
            "training": training,
            **({"draws": fold.draws} if fold.draws != fold.test_speaker else {}),
            "features": self.features_of(name, self.conditions(name)),
            **{section: getattr(config, section).record() for section in sections},
        }
        losses = system.training_losses(config.training.ctc_weight)
        own = {*config.model(name).own_classes, *(loss.type for loss in losses if loss.is_own)}
        if own:
            made_from["own_classes"] = {each: source_digest(each) for each in sorted(own)}
        needs = config.needs(name)
        if "text" in needs:
            made_from["ctc"] = {"texts": digest(self.dataset.transcripts(fold).texts), **config.ctc.record()}
        if config.mixes_waveforms(name):
            made_from["waveforms"] = crop_settings(config.features)
        if (kind := config.target_kind(name)) is not None:
            made_from["target"] = features_digest(self.reader.folder(kind, CLEAN))
        if config.needs_teacher(name):
            digests = [teacher.digest() for teacher in self.teachers(run)]
            made_from["teacher"] = digests[0] if len(digests) == 1 else digests
        return run.stamp(made_from)

    def teachers(self, run: RunSpec) -> list[RunSpec]:
        """All teachers of a run, by seed; raises as `teacher` does."""
        return [self.teacher(run, seed) for seed in sorted(self.config.teacher_seeds(run.system, run.seed))]

    def teacher(self, run: RunSpec, seed: int) -> RunSpec:
        """A teacher of a run: Baseline-c of the same fold.

        Raises:
            TrnetError: If it is not finished.
        """
        teacher = self.run(TEACHER, run.fold, seed)
        if not (teacher.best.is_file() and self.stamp(teacher).done()):
            which = f"fold {run.fold.number}, seed {seed}"
            raise TrnetError(f"{teacher.best}: no teacher for {which} that is trained to its end; run stage 5 first")
        teacher.read_best()  # before anything is made from it
        return teacher

    def finished(self, run: RunSpec) -> History | None:
        """The history of a run that is finished under this very configuration, None for any other."""
        if not (run.best.is_file() and run.last.is_file() and self.stamp(run).done()):
            return None
        history = run.read_last()["history"]
        if not self.rule.ends_at(history):
            return None
        run.check_best(history)
        return history

    def unfinished(self, groups: Iterable[tuple[RunSpec, ...]]) -> list[tuple[RunSpec, ...]]:
        """The groups with unfinished or invalid runs; the others are logged as up to date."""
        found = []
        for group in groups:
            try:
                histories = [self.finished(run) for run in group]
            except TrnetError:  # reported when the run itself is trained
                histories = [None]
            if any(history is None for history in histories):
                found.append(group)
                continue
            for run, history in zip(group, histories, strict=True):
                run.files.report_finished(history or [])
        return found
