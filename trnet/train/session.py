"""Training the runs of an experiment on one device."""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from trnet.conditions import CLEAN, Condition
from trnet.config import Upstream
from trnet.features.cache import FeatureCache, Room, room_on, sets_of
from trnet.features.reader import FeatureSet
from trnet.features.shared_memory import SharedFeatures
from trnet.features.upstream.extractor import shared_upstream
from trnet.folds import Fold
from trnet.model.feature_scale import FeatureScale
from trnet.model.ser import SER
from trnet.model.systems import make_system, run_system, ser_module, ser_weights
from trnet.runs.checkpoint import check_weights, load_weights
from trnet.runs.experiment import TEACHER, Experiment
from trnet.runs.record import record_run
from trnet.runs.spec import RunSpec
from trnet.train.batches import BOTH, BatchReader, Waves, scoring_batches
from trnet.train.captured import drop_lanes
from trnet.train.ctc import Tokens, check_tap, encoder_of, make_tokens
from trnet.train.fast_jobs import make_job
from trnet.train.inference import batch_size_on
from trnet.train.ser_job import SERData
from trnet.train.static_step import COMPILING
from trnet.train.tokenizer import fold_tokenizer
from trnet.train.trainer import Progress, Trainer
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp

log = logging.getLogger(__name__)

_HOLDING = threading.Lock()  # of the thread that fills the caches, which are made by the first of them


@dataclass(frozen=True)
class Session:
    """An experiment on a device, with its features in memory."""

    experiment: Experiment  # whose runs are trained or scored
    device: torch.device  # where
    at_once: int = 1  # processes that share the device, of which this is one
    wandb: str | None = None  # project of Weights & Biases that gets the curves, too
    about: dict[str, Any] = field(default_factory=dict)  # more for ``run.json``
    memory: Mapping[str, SharedFeatures] = field(default_factory=dict)  # of all these processes, by property; `sharing`
    _of_layer: list["Session"] = field(default_factory=list, init=False, repr=False, compare=False)  # none or one
    _scales: dict[Fold, FeatureScale] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, fold: Fold) -> "Session":
        """The session with a fold's own layer; itself where the settings name one.

        The layer before is dropped: two of them may not fit into memory, and runs come layer by layer.
        """
        experiment = self.experiment.of(fold)
        if experiment is self.experiment:
            return self
        with _HOLDING:
            if not (self._of_layer and self._of_layer[0].experiment == experiment):
                self._of_layer.clear()
                drop_lanes()  # which hold its features; other threads drop theirs at their next run
                about = self.about | {"layer": "auto"}  # which one it is says config.yaml
                self._of_layer[:] = [replace(self, experiment=experiment, about=about)]
            return self._of_layer[0]

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Frames of each utterance (the same under every condition)."""
        return self.experiment.reader.lengths(CLEAN)

    @cached_property
    def cache(self) -> FeatureCache:
        """The features that runs read."""
        room = self._room()
        half = self.experiment.config.features.in_half
        return FeatureCache(self.experiment.reader, self.lengths, self.device, room, half, self.memory.get("cache"))

    @cached_property
    def gate_cache(self) -> FeatureCache | None:
        """The log-mels that the gate reads, where the features are others."""
        reader = self.experiment.gate_reader
        if reader is None:
            return None
        return FeatureCache(
            reader, reader.lengths(CLEAN), self.device, self._room(2), shared=self.memory.get("gate_cache")
        )

    @cached_property
    def waves(self) -> Waves | None:
        """The waveforms that systems mix, and the pretrained network that reads the mixture; None where none does."""
        reader, features = self.experiment.wave_reader, self.experiment.config.features
        if reader is None or not isinstance(features, Upstream):
            return None
        cache = FeatureCache(reader, reader.lengths(CLEAN), self.device, self._room(4))
        return Waves(cache, shared_upstream(features, self.device).of_padded)

    def _room(self, share: int = 1) -> Room:
        """What a cache may take: a share of this process's part, less its part of the memory of all of them."""
        room = room_on(self.device, share * self.at_once, self.experiment.dump)
        common = sum(each.nbytes for each in self.memory.values()) // self.at_once
        return replace(room, device=max(0, room.device - common))

    @contextlib.contextmanager
    def sharing(self, runs: Sequence[RunSpec], processes: int) -> Iterator["Session"]:
        """Within the block: the session of each of several processes that train runs; on a CPU they share the features.

        Together they take half of the free memory. Waveforms, and all features where each fold has a layer of its own,
        are not shared: each process has a copy. What does not fit is in a file of each process, as in `FeatureCache`.
        """
        mine, memory = replace(self, at_once=processes), dict[str, SharedFeatures]()
        if processes == 1 or self.device.type != "cpu" or self.experiment.config.features.by_fold:
            yield mine
            return
        sets, mixed, utts = self._trained_on(runs)
        room = room_on(self.device).device
        with contextlib.ExitStack() as stack:
            for name, cache, wanted in (("cache", self.cache, sets), ("gate_cache", self.gate_cache, sets | mixed)):
                if cache is None or not wanted:
                    continue
                with contextlib.suppress(TrnetError):  # of missing features, reported by the run that needs them
                    if found := stack.enter_context(cache.sharing(wanted, utts, room)):
                        memory[name] = found
                        room -= found.nbytes
            yield replace(mine, memory=memory)

    def hold(self, runs: Iterable[RunSpec]) -> None:
        """Read all features that runs train on into memory, as far as they fit."""
        self._hold(*self._trained_on(runs))

    def _trained_on(self, runs: Iterable[RunSpec]) -> tuple[set[FeatureSet], set[FeatureSet], set[str]]:
        """The features that runs train on, the waveforms, and the utterances."""
        sets: set[FeatureSet] = set()
        mixed: set[FeatureSet] = set()
        utts: set[str] = set()
        for run in runs:
            sets |= self._sets(run.system)
            mixed |= self._mixed(run.system, self.experiment.conditions(run.system))
            utts |= {*run.fold.train, *run.fold.valid}
        return sets, mixed, utts

    def hold_for_scoring(self, runs: Iterable[RunSpec], conditions: Sequence[Condition]) -> None:
        """Read all features that runs are scored on into memory, as far as they fit."""
        sets: set[FeatureSet] = set()
        mixed: set[FeatureSet] = set()
        utts: set[str] = set()
        for run in runs:
            sets |= sets_of(self._inputs(run.system), conditions)
            mixed |= self._mixed(run.system, conditions)
            utts |= set(run.fold.test)
        self._hold(sets, mixed, utts)

    def _hold(self, sets: set[FeatureSet], mixed: set[FeatureSet], utts: set[str]) -> None:
        """`sets`: of features; `mixed`: of waveforms."""
        with _HOLDING, COMPILING:  # memory is allocated and waited for, which a capture does not go with
            self.cache.hold(sets, utts)
            if self.gate_cache is not None:
                self.gate_cache.hold(sets | mixed, utts)
            if mixed and self.waves is not None:
                self.waves.cache.hold(mixed, utts)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # other threads read on streams of their own

    def _inputs(self, name: str) -> tuple[str, ...]:
        """The kinds of features that a system reads: none where it mixes waveforms."""
        config = self.experiment.config
        return () if config.mixes_waveforms(name) else config.system(name).inputs

    def _mixed(self, name: str, conditions: Sequence[Condition]) -> set[FeatureSet]:
        """The waveforms that a system mixes."""
        return sets_of(BOTH, conditions) if self.experiment.config.mixes_waveforms(name) else set()

    def _sets(self, name: str) -> set[FeatureSet]:
        config, conditions = self.experiment.config, self.experiment.conditions(name)
        needs = config.needs(name)
        clean = {config.target_kind(name), "noisy" if "h_s" in needs else None} - {None}  # for X_s and h_s
        kinds = {*self._inputs(name), *(needs & {"noisy", "enhanced"})}
        if config.features.scaled:
            clean |= {"noisy"}
        return sets_of(kinds, conditions) | sets_of(filter(None, clean), [CLEAN])

    def train_group(self, group: Sequence[RunSpec], position: int | None = None) -> None:
        """Train those runs of a group (see `Experiment.groups`) on one trajectory of weights that are not up to date.

        `position`: line of the progress bar.

        Raises:
            TrnetError: For missing features or teacher, a class that a fold does not train on, a loss that is not
                finite, or a run that another process trains; after the others were trained, for one that is damaged.
        """
        with contextlib.ExitStack() as locks:
            for run in group:
                locks.enter_context(only_one(run.folder))
            stamps, damaged = {}, []
            for run in group:
                try:
                    stamps[run] = self._prepare(run)
                except TrnetError as error:
                    damaged.append(error)
            self._train({run: stamp for run, stamp in stamps.items() if stamp is not None}, position)
            if damaged:
                raise damaged[0]

    def _prepare(self, run: RunSpec) -> Stamp | None:
        """The stamp of a run that is to be trained, conflicting files moved aside; None if it is finished."""
        experiment, stamp = self.experiment, self.experiment.stamp(run)
        run.files.move_conflicting_aside(stamp, experiment.rule)
        history = experiment.finished(run)
        if history is not None:
            run.files.report_finished(history)
            return None
        history = run.files.history()
        run.files.settle(experiment.rule.best(history))
        if history:
            run.check_best(history)
        return stamp

    def _train(self, stamps: dict[RunSpec, Stamp], position: int | None) -> None:
        if not stamps:
            return
        runs, experiment = list(stamps), self.experiment
        experiment.dataset.check_classes(runs[0].fold)
        self.hold(runs)
        data = self.data(runs[0])
        for run, stamp in stamps.items():
            stamp.begin()
            record_run(run, experiment, self.device, self.about)
        job = make_job(data, runs)
        if data.tokens is not None:
            log.info("%s: %s", job.title, data.tokens.summary)
        progress = [Progress(run, run.title, run.files, experiment.rule, self.device) for run in runs]
        Trainer(job, progress, self.wandb).train(position)
        for stamp in stamps.values():
            stamp.finish()

    def data(self, run: RunSpec) -> SERData:
        """All that a run is trained from.

        Raises:
            TrnetError: For a missing teacher, or unusable transcripts.
        """
        experiment, name, fold = self.experiment, run.system, run.fold
        needs = experiment.config.needs(name)
        return SERData(
            name=name,
            config=experiment.config,
            seed=run.seed,
            draws=fold.draws,
            utts=fold.train,
            labels=experiment.dataset.labels,
            classes=experiment.dataset.classes,
            conditions=experiment.conditions(name),
            cache=self.cache,
            gate_cache=self.gate_cache if experiment.config.model(name).gate_features is not None else None,
            waves=self.waves if experiment.config.mixes_waveforms(name) else None,
            h_s=self._h_s(run) if "h_s" in needs else None,
            teacher=self._teacher_module(run) if "teacher" in needs else None,
            start=ser_weights(self._teacher_module(run)) if experiment.config.system(name).init == "teacher" else None,
            tokens=self._tokens(run) if "text" in needs else None,
            scale=self._scale(fold) if experiment.config.features.scaled else None,
        )

    def _scale(self, fold: Fold) -> FeatureScale:
        """The scale of a fold's features, computed once for all of its systems and seeds."""
        if fold not in self._scales:
            scale = self._compute_scale(fold)
            if self.device.type == "cuda":
                torch.cuda.current_stream(self.device).synchronize()  # other threads read it on streams of their own
            self._scales[fold] = scale
        return self._scales[fold]

    def _compute_scale(self, fold: Fold) -> FeatureScale:
        """Mean and standard deviation of each dimension over the frames of a fold's training utterances, clean."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())  # the last two (dim,) float64
        for items in scoring_batches([(utt, CLEAN) for utt in fold.train], self.lengths, 256):
            x = self.cache.stack("noisy", items).flatten(0, 1).double()  # zeros behind each end add nothing
            count += sum(self.lengths[utt] for utt, _ in items)
            total, squares = total + x.sum(0), squares + x.square().sum(0)
        mean = total / count
        scale = FeatureScale(len(mean)).to(self.device)
        scale.set(mean, (squares / count - mean.square()).clamp_min(0).sqrt())
        return scale

    def _teacher(self, run: RunSpec, seed: int) -> tuple[torch.nn.Module, Path, dict[str, Tensor]]:
        """The untrained network of a teacher, its checkpoint, and the weights in it."""
        experiment, teacher = self.experiment, self.experiment.teacher(run, seed)
        network = make_system(experiment.config.model(TEACHER), len(experiment.dataset.classes))
        return network, teacher.best, teacher.read_best()["model"]

    def _h_s(self, run: RunSpec) -> dict[str, Tensor]:
        """h_s (D,) float32 of each training utterance's clean speech, on the device; of several teachers their mean."""
        seeds = self.experiment.config.system(run.system).teacher_seeds or [run.seed]
        by_teacher = [self._h_s_of(run, seed) for seed in sorted(set(seeds))]
        if len(by_teacher) == 1:
            return by_teacher[0]
        return {utt: torch.stack([h_s[utt] for h_s in by_teacher]).mean(0) for utt in run.fold.train}

    def _h_s_of(self, run: RunSpec, seed: int) -> dict[str, Tensor]:
        """The same of the teacher with a seed, who is fixed."""
        network, path, weights = self._teacher(run, seed)
        load_weights(network, weights, path)
        network = network.to(self.device).eval()
        inputs = self.experiment.config.system(TEACHER).inputs
        reader = BatchReader(self.cache, self.experiment.dataset.labels, inputs)
        h_s: dict[str, Tensor] = {}
        size = batch_size_on(self.device, 32)
        batches = list(scoring_batches([(utt, CLEAN) for utt in run.fold.train], self.lengths, size))
        with torch.inference_mode():
            for items in tqdm(batches, desc="h_s of the teacher", unit="batch", leave=False):
                h = run_system(network, reader.read(items)).h
                h_s.update((utt, row) for (utt, _), row in zip(items, h.float().clone(), strict=True))
        return h_s

    def _teacher_module(self, run: RunSpec) -> SER:
        """The trained SER module of the teacher, on the host."""
        network, path, weights = self._teacher(run, run.seed)
        check_weights(network, weights, path)
        network.load_state_dict(weights)
        return ser_module(network)

    def _tokens(self, run: RunSpec) -> Tokens:
        experiment, conf = self.experiment, self.experiment.config.ctc
        transcripts = experiment.dataset.transcripts(run.fold)
        encoder = None
        if experiment.config.has_ctc(run.system):
            system = make_system(experiment.config.model(run.system), len(experiment.dataset.classes))
            check_tap(system, conf)
            encoder = encoder_of(system)
        folder = experiment.exp / "pieces" / f"fold{run.fold.number}"
        tokenizer = fold_tokenizer(folder, transcripts.texts, conf)
        return make_tokens(transcripts, tokenizer, self.lengths, encoder, conf)
