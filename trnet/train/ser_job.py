"""Training of an SER system for one set of training utterances: what `Trainer` needs to know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.conditions import CLEAN, Condition
from trnet.config import Config
from trnet.features.cache import FeatureCache, Item
from trnet.metrics import uar
from trnet.model.batch import Batch
from trnet.model.feature_scale import FeatureScale, scaled_batch
from trnet.model.ser import SER
from trnet.model.systems import make_system, run_scaled, ser_module
from trnet.runs.checkpoint import check_weights, load_part, load_weights, save_checkpoint
from trnet.runs.history import History
from trnet.train.average import MovingAverage
from trnet.train.batches import BatchReader, Waves, draw_conditions, training_batches
from trnet.train.ctc import CTCLoss, Tokens
from trnet.train.inference import infer
from trnet.train.losses import WeightedSum, balanced_weights, make_loss
from trnet.train.optimization import LearningRate, make_optimizer, parameter_groups
from trnet.train.trainer import Progress, Step, Steps, TrainingJob
from trnet.train.widths import Widths
from trnet.utils.errors import TrnetError
from trnet.utils.seeding import DRAWS, seed_torch

BATCH = 64  # utterances a batch in validation


def names_of(items: Sequence[Item]) -> list[str]:
    """Items for messages."""
    return [f"{utt}({condition.name})" for utt, condition in items]


@dataclass(frozen=True)
class SERData:
    """All that one trajectory of weights is trained from."""

    name: str  # of the system
    config: Config
    seed: int
    draws: str  # names the draws of initial weights, conditions, batches and dropout, beside the seed
    utts: Sequence[str]  # what is trained on
    labels: Mapping[str, int]  # class index of each utterance
    classes: Sequence[str]
    conditions: Sequence[Condition]  # of training and validation
    cache: FeatureCache
    gate_cache: FeatureCache | None = None
    waves: Waves | None = None  # where the system mixes waveforms
    h_s: Mapping[str, Tensor] | None = None  # (D,) of the teacher by utterance, where a loss needs it
    teacher: SER | None = None  # itself, trained, where a loss needs that
    start: Mapping[str, Tensor] | None = None  # weights that the SER module begins with, where they are the teacher's
    tokens: Tokens | None = None  # of the transcripts, where a loss needs them
    scale: FeatureScale | None = None  # of the features over the training utterances, where they are scaled

    def reader(self, training: bool) -> BatchReader:
        """Reads what the system reads, and in training also what its losses do."""
        inputs = self.config.system(self.name).inputs if self.waves is None else ()
        gate, waves = self.gate_cache, self.waves
        if not training:
            return BatchReader(self.cache, self.labels, inputs, gate=gate, waves=waves)
        kinds = [*inputs, *sorted(self.config.needs(self.name) & {"noisy", "enhanced"} - set(inputs))]
        tokens = None if self.tokens is None else self.tokens.by_utt
        snr = "snr" in self.config.needs(self.name)
        target = self.config.target_kind(self.name)
        return BatchReader(self.cache, self.labels, kinds, target, self.h_s, tokens, gate=gate, snr=snr, waves=waves)


class SERJob(TrainingJob):
    """A system with its losses; a run's key is its `RunSpec`."""

    unit = "utt"
    scoring_widths: Widths | None = None  # of batches in validation, where they are compiled

    def __init__(self, data: SERData, runs: Sequence[Any]) -> None:
        """`runs`: `RunSpec` of each run on the trajectory."""
        self.data, self.device = data, data.cache.device
        folds = "+".join(run.fold.title for run in runs).replace("+fold ", "+")  # fold 1+2
        self.title = f"{data.name} {folds} seed {data.seed}"
        self.reader = data.reader(training=True)
        self._valid_reader = data.reader(training=False)

    def begin(self) -> None:
        """Build network, losses and optimizer anew."""
        data, conf = self.data, self.data.config.training
        with DRAWS:
            seed_torch(data.seed, data.draws, "init")
            self.model = make_system(data.config.model(data.name), len(data.classes)).to(self.device)
            if data.scale is not None:
                self.model.get_submodule("feature_scale").load_state_dict(data.scale.state_dict())
            if data.start is not None:
                ser_module(self.model).load_state_dict(data.start)
            self.average = MovingAverage(self.model, conf.ema) if conf.ema else None
            self.losses = self._make_losses().to(self.device)
        groups = parameter_groups(self.model, self.losses, conf, data.config.gate.lr)
        self.optimizer = make_optimizer(groups, conf)
        self.learning_rate = LearningRate(self.optimizer, conf)
        self._place: tuple[History, int, int] = ([], 0, 1)  # epochs done, steps of this one done, its steps

    def _make_losses(self) -> WeightedSum:
        data = self.data
        losses, weights = {}, {}
        for options in data.config.system(data.name).training_losses(data.config.training.ctc_weight):
            if options.type == "ctc":
                assert data.tokens is not None
                losses[options.column] = CTCLoss(self.model, data.config.ctc, data.tokens.vocab_size)
            elif options.type == "cross_entropy":
                given = {"class_weights": self._class_weights(options.options()["class_weights"])}
                losses[options.column] = make_loss(options, **given)
            elif options.type == "high_frames":
                losses[options.column] = make_loss(options, teacher=data.teacher)
            else:
                losses[options.column] = make_loss(options)
            weights[options.column] = options.weight
        return WeightedSum(losses, weights)

    def _class_weights(self, wanted: Any) -> Any:
        data = self.data
        if wanted == "balanced":
            return balanced_weights([data.labels[utt] for utt in data.utts], len(data.classes))
        if isinstance(wanted, list) and len(wanted) != len(data.classes):
            raise TrnetError(f"class_weights: {len(wanted)} for {len(data.classes)} classes {' '.join(data.classes)}")
        return wanted

    @property
    def kept(self) -> nn.Module:
        """What is validated and kept: the network, or its moving average."""
        return self.model if self.average is None else self.average.module

    def state(self) -> dict[str, Any]:
        """Network, optimizer, and where they are used parameters of losses and moving average."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        if trained := self._loss_state():
            state["losses"] = trained
        if self.average is not None:
            state["average"] = self.average.state_dict()
        return state

    def _loss_state(self) -> dict[str, Tensor]:
        return self.losses.trained.state_dict()

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Take up what `state` gave; older versions kept the head of CTC under ``ctc``."""
        self.model.load_state_dict(state["model"])
        if self._loss_state():
            older = {f"ctc.head.{key}": value for key, value in state.get("ctc", {}).items()}
            load_weights(self.losses.trained, state.get("losses", older), path)
        if self.average is not None:
            load_weights(self.average, state.get("average", {}), path)
        load_part(self.optimizer, state["optimizer"], path, "optimizer")

    def check(self, run: Progress, state: dict[str, Any]) -> None:
        """Make sure that the checkpoints of a run are whole and of this network."""
        check_weights(self.model, state["model"], run.folder.last)
        run.key.check_best(state["history"])

    def steps(self, epoch: int, history: History) -> tuple[int, Steps]:
        """The batches of an epoch."""
        data, conf = self.data, self.data.config.training
        key = (data.seed, data.draws, epoch)
        items = draw_conditions(data.utts, data.conditions, conf.train_conditions, *key)
        batches = list(training_batches(items, data.cache.length, conf.batch_size, conf.bucketing, *key))
        self.model.train()
        self._place = (history, 0, len(batches))
        self.learning_rate.set(*self._place)
        return len(batches), self._steps(batches, key)

    def _steps(self, batches: Sequence[Sequence[Item]], key: tuple[object, ...]) -> Steps:
        with DRAWS:  # of dropout and SpecAugment, to the end of the epoch
            seed_torch(*key, "dropout")
            for items in batches:
                yield Step(self.reader.read(items), partial(names_of, items), len(items), len(items))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8 and one step of the optimizer on it."""
        conf = self.data.config.training
        if not self.learning_rate.steady:
            self.learning_rate.set(*self._place)
            self._place = (self._place[0], self._place[1] + 1, self._place[2])
        losses = self.compute(batch)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        if conf.grad_clip:
            nn.utils.clip_grad_norm_([*self.model.parameters(), *self.losses.parameters()], conf.grad_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return {name: value.detach() for name, value in losses.items()}

    def compute(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8 and its parts."""
        bf16 = self.data.config.training.precision == "bf16"
        batch = scaled_batch(self.model, batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            output = run_scaled(self.model, batch)
        return self.losses(output, batch)

    def row(self, means: dict[str, float]) -> dict[str, Any]:
        """Learning rate and losses."""
        return {"lr": self.optimizer.param_groups[0]["lr"]} | means

    def valid_items(self, run: Progress) -> list[Item]:
        """The validation utterances of a run under their conditions."""
        fold, how = run.key.fold, self.data.config.training.valid_conditions
        return draw_conditions(fold.valid, self.data.conditions, how, fold.test_speaker, "valid")

    def validate(self, run: Progress, epoch: int) -> dict[str, float | None]:
        """UAR (%) and the mean c of clean and of noisy speech of the validation speaker; None where there is none."""
        data, items = self.data, self.valid_items(run)
        if not items:
            return {"valid_uar": None, "c_clean": None, "c_noisy": None}
        found = infer(self.kept, self._valid_reader, items, BATCH, widths=self.scoring_widths)
        labels = [data.classes[data.labels[utt]] for utt, _ in items]
        predictions = [data.classes[int(found[item].probs.argmax())] for item in items]
        row: dict[str, float | None] = {"valid_uar": uar(labels, predictions)}
        for name, clean in (("c_clean", True), ("c_noisy", False)):
            cs = [p.c for (_, condition), p in found.items() if (condition == CLEAN) == clean and p.c is not None]
            row[name] = sum(cs) / len(cs) if cs else None
        return row

    def about(self, run: Progress) -> dict[str, Any]:
        """System, fold, seed and classes."""
        fold = run.key.fold.number
        return {"system": self.data.name, "fold": fold, "seed": self.data.seed, "classes": list(self.data.classes)}

    def best(self) -> dict[str, Any]:
        """The weights that are validated."""
        return {key: value.clone() for key, value in self.kept.state_dict().items()}

    def save_best(self, path: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
        """Weights of the chosen epoch, and the configuration of the experiment."""
        save_checkpoint(path, {"model": weights, "config": self.data.config.plain(), **about})

    def describe(self, row: dict[str, Any]) -> str:
        """The validation UAR, or that there is none."""
        return "nobody validates" if row["valid_uar"] is None else f"validation UAR {row['valid_uar']:.2f} %"

    def make_room(self) -> str | None:
        """Free half of the features on the device, of waveforms first."""
        caches = [each.cache for each in (self.data.waves, self.data) if each is not None]
        return "half of the features" if any(cache.halve() for cache in caches) else None
