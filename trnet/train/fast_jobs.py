"""Training jobs with static shapes: compiled, and on a GPU captured. The readable way is `SERJob`."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trnet.config import Config
from trnet.features.cache import FeatureCache, Item
from trnet.model.batch import Batch
from trnet.runs.history import History
from trnet.train.batches import draw_conditions, training_batches
from trnet.train.captured import (
    CannotCapture,
    Lane,
    drop_lanes,
    h_s_of,
    keep_lane,
    labels_of,
    lane_of,
    use_thread_stream,
)
from trnet.train.epoch_table import Epoch, TableMaker
from trnet.train.optimization import parameter_groups
from trnet.train.ser_job import SERData, SERJob, names_of
from trnet.train.static_step import CannotCompile, compiled_losses, say_once, widened
from trnet.train.trainer import Step, Steps
from trnet.train.widths import Widths, batch_widths
from trnet.utils.random import rng_for


def make_job(data: SERData, runs: Sequence[Any]) -> SERJob:
    """The fastest job for a run: on a GPU captured, where the YAML asks for it compiled, else the readable one."""
    device, wanted = data.cache.device, data.config.training.compile
    if wanted is False or (wanted is None and device.type != "cuda"):
        return SERJob(data, runs)
    if "text" in data.config.needs(data.name):
        say_once(f"{data.name}: CTC is computed on the CPU, so that its steps are not compiled")
        return SERJob(data, runs)
    if data.waves is not None:
        say_once(f"{data.name}: waveforms go through a pretrained network, so that its steps are not compiled")
        return SERJob(data, runs)
    if device.type == "cuda":
        if data.config.training.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            say_once("training.precision: this GPU has no bf16, which is emulated, slowly; set it to float32")
            return SERJob(data, runs)
        job = CapturedSERJob(data, runs)
        if job.tables.holds(data.utts):
            return job
        say_once(
            f"{data.name}: not all features fit on the GPU, so that steps are not captured; free some memory there"
        )
    return CompiledSERJob(data, runs)


def shares_process(config: Config, device: torch.device, names: Sequence[str]) -> bool:
    """Whether runs of these systems on a device are threads of one process: where all their steps are captured."""
    compiled = device.type == "cuda" and config.training.compile is not False
    return compiled and not any("text" in config.needs(name) or config.mixes_waveforms(name) for name in names)


def widths_of(config: Config, cache: FeatureCache, gate_cache: FeatureCache | None) -> Widths:
    """The widths of batches of a corpus."""
    conf = config.training
    caches = [cache, gate_cache]
    return Widths(*([] if c is None else batch_widths(c.length, conf.batch_size, conf.bucketing) for c in caches))


def scoring_widths(config: Config, cache: FeatureCache, gate_cache: FeatureCache | None) -> Widths | None:
    """The same where scoring is compiled, on a GPU; None where it is not."""
    compiled = cache.device.type == "cuda" and config.training.compile is not False
    return widths_of(config, cache, gate_cache) if compiled else None


class CompiledSERJob(SERJob):
    """Batches are padded to a few widths, and network and losses compiled for these."""

    def __init__(self, data: SERData, runs: Sequence[Any]) -> None:
        super().__init__(data, runs)
        self.widths = widths_of(data.config, data.cache, data.gate_cache)
        self._compile = True

    def compute(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8 by the compiled network; a smaller last batch of an epoch is not worth compiling for."""
        conf = self.data.config.training
        if not self._compile or len(batch.lengths) < conf.batch_size:
            return super().compute(batch)
        try:
            tensors = widened(batch, *self.widths)
            return compiled_losses(self.model, self.losses, tensors, conf.precision == "bf16")
        except CannotCompile as error:
            say_once(f"{self.data.name}: torch.compile: {error}; trained without it")
            self._compile = False
            return super().compute(batch)


class CapturedSERJob(SERJob):
    """Every step is a replay of a CUDA graph, in a `Lane` that runs of one system share one after another."""

    save_every = 2.0  # an epoch takes a tenth of a second

    def __init__(self, data: SERData, runs: Sequence[Any]) -> None:
        super().__init__(data, runs)
        self.tables = TableMaker(self.reader, data.conditions, widths_of(data.config, data.cache, data.gate_cache))
        if data.config.training.compile is not False and self.device.type == "cuda":
            self.scoring_widths = self.tables.widths
        self.lane: Lane | None = None
        self._captures = True
        self._next: tuple[int, Epoch] | None = None  # an epoch whose table is made already
        self._rates: list[list[float]] = []

    def begin(self) -> None:
        """Build network and losses anew, and copy them into the lane."""
        super().begin()
        self._next = None
        if not self._captures:
            return
        use_thread_stream(self.device)
        data, key = self.data, self._key
        lane = lane_of(key)
        if lane is None:
            groups = parameter_groups(self.model, self.losses, data.config.training, data.config.gate.lr)
            lane = Lane(self.model, self.losses, groups, data.config.training, self.tables)
            keep_lane(key, lane)
        h_s = None if data.h_s is None else h_s_of(self.tables, data.h_s, self.device)
        lane.enter(self.model, self.losses, labels_of(self.tables, data.labels), h_s)
        self.lane, self.model, self.losses, self.average = lane, lane.model, lane.losses, lane.average

    @cached_property
    def _key(self) -> str:
        """What runs have to have in common to share a lane: the features in memory, the network, its losses."""
        assert self.tables.features is not None
        mels = 0 if self.tables.mels is None else self.tables.mels.flat.data_ptr()
        plain = self.data.config.plain()
        return repr((self.tables.features.flat.data_ptr(), mels, self.data.name, len(self.data.classes), plain))

    def state(self) -> dict[str, Any]:
        """As without a lane."""
        state = super().state()
        if self.lane is not None:
            state["optimizer"] = self.lane.optimizer_state(self._last_rates)
        return state

    @property
    def _last_rates(self) -> list[float]:
        return self._rates[-1] if self._rates else self.learning_rate.base

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Take up what `state` gave."""
        super().load(state, path)
        if self.lane is not None:
            self.lane.take(self.optimizer)

    def steps(self, epoch: int, history: History) -> tuple[int, Steps]:
        """The steps of an epoch, whose table lies on the device."""
        if self.lane is None:
            return super().steps(epoch, history)
        data = self.data
        table = self._next[1] if self._next is not None and self._next[0] == epoch else self._epoch(epoch)
        count = len(table.batches)
        self._rates = [self.learning_rate.rates(history, step, count) for step in range(count)]
        seed = int(rng_for(data.seed, data.draws, epoch, "dropout").integers(2**62))
        try:
            self.lane.begin_epoch(table, self._rates, seed)
        except CannotCapture as error:
            say_once(f"{data.name}: its steps cannot be captured ({error}); trained without")
            self._leave_lane()
            return super().steps(epoch, history)
        return count, self._steps_of(table, epoch)

    def _steps_of(self, table: Epoch, epoch: int) -> Steps:
        for number, (items, shape) in enumerate(zip(table.batches, table.shapes, strict=True)):
            yield Step((number, shape), partial(names_of, items), len(items), len(items))
        self._next = epoch + 1, self._epoch(epoch + 1)  # while the device computes

    def _epoch(self, epoch: int) -> Epoch:
        data, conf = self.data, self.data.config.training
        key = (data.seed, data.draws, epoch)
        items: list[Item] = draw_conditions(data.utts, data.conditions, conf.train_conditions, *key)
        batches = list(training_batches(items, data.cache.length, conf.batch_size, conf.bucketing, *key))
        return self.tables.epoch(batches, conf.batch_size)

    def step(self, batch: Any) -> dict[str, Tensor]:
        """One replay; the losses are read from the device later."""
        if self.lane is None:
            return super().step(batch)
        number, shape = batch
        self.lane.step(shape)
        return dict(zip(self.lane.columns, self.lane.log[number], strict=True))

    def row(self, means: dict[str, float]) -> dict[str, Any]:
        """Learning rate of the last step, and losses."""
        return super().row(means) if self.lane is None else {"lr": self._last_rates[0]} | means

    def make_room(self) -> str | None:
        """Give the memory of graphs back, and train without them; then half of the features on the device."""
        if self.lane is not None:
            self.lane, self._captures = None, False
            self.model, self.losses, self.average = None, None, None  # type: ignore[assignment]
            self.tables = None  # type: ignore[assignment]  # they hold the features, even if the cache gives half away
            drop_lanes()
            torch.cuda.empty_cache()
            return "captured steps"
        self.tables = None  # type: ignore[assignment]
        return super().make_room()

    def _leave_lane(self) -> None:
        """Go on without the lane, from the state that is in it."""
        state, self.lane, self._captures = self.state(), None, False
        drop_lanes()
        self.begin()
        super().load(state, Path("the state of the run"))
