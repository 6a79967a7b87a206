"""A training step as one replay of a CUDA graph: batch by index, forward, losses, backward, optimizer, average, log.

A captured graph reads and writes the very tensors that it was captured with. So network, losses, optimizer and buffers
belong to a `Lane`, whose tensors stay where they are; a run that is trained there is copied in, and out again.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from trnet.config import Training
from trnet.model.precision import full
from trnet.train.average import MovingAverage
from trnet.train.epoch_table import Epoch, Shape, TableMaker
from trnet.train.losses import WeightedSum
from trnet.train.optimization import OPTIMIZERS
from trnet.train.static_step import COMPILING, CannotCompile, compiled_losses, say_once, static_losses
from trnet.utils.errors import first_line
from trnet.utils.seeding import DRAWS

WARM_UPS = 2  # steps before a capture: libraries choose and load their kernels in them

_of_thread = threading.local()


def thread_stream(device: torch.device) -> "torch.cuda.Stream":
    """The stream of this thread, made at its first call; graphs cannot be captured on the default one."""
    if getattr(_of_thread, "stream", None) is None:
        _of_thread.stream = torch.cuda.Stream(device)
    return _of_thread.stream


def use_thread_stream(device: torch.device) -> None:
    """Compute on the stream of this thread from here on, after what was computed before."""
    if device.type == "cuda":
        stream, before = thread_stream(device), torch.cuda.current_stream(device)
        if stream != before:
            stream.wait_stream(before)
            torch.cuda.set_stream(stream)


def _pool() -> Any:
    """Memory that the graphs of this thread share, since they are replayed one after another."""
    if getattr(_of_thread, "pool", None) is None:
        _of_thread.pool = torch.cuda.graph_pool_handle()
    return _of_thread.pool


def _end_capture(device: torch.device, pool: Any) -> None:
    """Tell PyTorch's allocator that a capture which failed is over; 2.11 forgets to, and then frees no memory."""
    with suppress(RuntimeError, AttributeError):  # a version that does not forget has nothing to end
        torch._C._cuda_endAllocateToPool(device.index or 0, pool)


def copy_module(target: nn.Module, source: nn.Module) -> None:
    """Copy parameters and buffers, those that no state_dict has, too."""
    with torch.no_grad():
        for mine, theirs in zip(_tensors(target), _tensors(source), strict=True):
            mine.copy_(theirs)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


class CannotCapture(Exception):
    """A step that does something which a CUDA graph cannot hold."""


class Lane:
    """A network in training by tables of rows, whose steps are captured where the device is a GPU.

    On a CPU the same steps are computed without capturing, which is to rehearse them.
    """

    def __init__(
        self, model: nn.Module, losses: WeightedSum, groups: list[dict[str, Any]], conf: Training, tables: TableMaker
    ) -> None:
        """Take a network, losses, and the parameter groups of both over as the tensors of the lane.

        Args:
            groups: Of parameters, with their ``lr``.
            tables: Of features on the device of the network. Graphs read the tensors of these very tables, so they stay
                the lane's, whatever run is trained there.
        """
        self.model, self.losses, self.conf, self.tables = model, losses, conf, tables
        assert tables.features is not None
        self.device = tables.features.flat.device
        self.on_gpu = self.device.type == "cuda"
        self.average = MovingAverage(model, conf.ema) if conf.ema else None
        rates = [[float(group["lr"]) for group in groups]]
        self._lr = torch.tensor(rates, dtype=torch.float32, device=self.device)  # (1, groups)
        self._one: Tensor | None = None  # () the gradient of the loss
        options: dict[str, Any] = {
            "fused": True,
            "capturable": self.on_gpu,
            "weight_decay": conf.optimizer.weight_decay,
        }
        groups = [group | {"lr": rate} for group, rate in zip(groups, self._lr[0].unbind(), strict=True)]
        self.optimizer = OPTIMIZERS[conf.optimizer.type](groups, **options)
        self.columns: list[str] = []  # of the log
        self.cursor = torch.zeros(1, dtype=torch.int64, device=self.device)  # the step of the epoch
        self.by_utt: dict[str, Tensor] = {}  # labels (utterances,), h_s (utterances, D)
        self._buffers: dict[str, Tensor] = {}
        self._graphs: dict[Shape, Any] = {}
        self._step_log: Tensor | None = None
        self._steps: Tensor | None = None  # (steps, 1): 0, 1, ...
        self.generator = torch.Generator(self.device)  # of dropout and SpecAugment
        self._compile = conf.compile is not False

    # what a run brings and takes

    def enter(self, model: nn.Module, losses: WeightedSum, labels: Tensor, h_s: Tensor | None) -> None:
        """Begin a run: its initial weights, its labels (utterances,), and its teacher's h_s (utterances, D)."""
        if model is not self.model:
            copy_module(self.model, model)
        if losses is not self.losses:
            copy_module(self.losses, losses)
        if self.average is not None:
            copy_module(self.average.module, self.model)
            self.average.n_averaged.zero_()
        self.optimizer.zero_grad(set_to_none=True)
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()
        self._put("labels", labels)
        if h_s is not None:
            self._put("h_s", h_s)
        self.by_utt = {name: self._buffers[name] for name in ("labels", "h_s")[: 1 if h_s is None else 2]}

    def _put(self, name: str, value: Tensor) -> Tensor:
        """Copy a tensor into the buffer of that name, made anew (and graphs forgotten) if it has become larger."""
        value = value.to(self.device)
        kept = self._buffers.get(name)
        if kept is None or kept.shape[1:] != value.shape[1:] or len(kept) < len(value):
            room = len(value) + len(value) // 4 + 8  # for the next runs, too
            self._buffers[name] = kept = value.new_zeros(room, *value.shape[1:])
            self._graphs.clear()
        kept[: len(value)].copy_(value)
        return kept

    def take(self, optimizer: torch.optim.Optimizer) -> None:
        """The moments of another optimizer of the same groups."""
        self._make_moments()
        for mine, theirs in zip(self.optimizer.param_groups, optimizer.param_groups, strict=True):
            for p, q in zip(mine["params"], theirs["params"], strict=True):
                for name, value in self.optimizer.state[p].items():
                    there = optimizer.state.get(q, {}).get(name)
                    value.zero_() if there is None else value.copy_(there)

    def _make_moments(self) -> None:
        """Moments of zero, which the optimizer else makes at its first step."""
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                if not self.optimizer.state[p]:
                    zero = torch.zeros((), device=self.device)
                    moments = {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
                    self.optimizer.state[p] = {"step": zero, **moments}

    def optimizer_state(self, rates: Iterable[float]) -> dict[str, Any]:
        """The optimizer's state_dict as one has it that is not captured, with its present learning rates."""
        state = self.optimizer.state_dict()
        plain = OPTIMIZERS[self.conf.optimizer.type]([nn.Parameter(torch.zeros(1))])
        own = {key: value for key, value in plain.param_groups[0].items() if key not in ("params", "weight_decay")}
        for group, rate in zip(state["param_groups"], rates, strict=True):
            group |= own | {"lr": rate}
        return state

    def reads(self, features: Tensor | None) -> bool:
        """Whether its tables are of these features."""
        return self.tables.features is not None and self.tables.features.flat is features

    # an epoch

    def begin_epoch(self, epoch: Epoch, rates: list[list[float]], seed: int) -> None:
        """Put the table of an epoch on the device, its learning rates (steps, groups), and seed what is drawn in it."""
        self._make_moments()
        self._put("table", torch.from_numpy(epoch.table))
        self._put("lr", torch.tensor(rates, dtype=torch.float32))
        self.cursor.zero_()
        for step, shape in enumerate(epoch.shapes):
            if shape not in self._graphs:
                self._graphs[shape] = self._prepared(shape, step)
        self.generator.manual_seed(seed)
        self.model.train()

    @property
    def log(self) -> Tensor:
        """(steps, columns) float32, the losses of this epoch's steps."""
        assert self._step_log is not None
        return self._step_log

    def step(self, shape: Shape) -> None:
        """The next step of the epoch."""
        first = self.average is not None and self.average.n_averaged == 0
        if first or self._graphs[shape] is None:  # the first step copies weights into the average
            with self._drawing():
                self._compute(shape)
        else:
            self._graphs[shape].replay()
            if self.average is not None:
                self.average.n_averaged += 1

    def _compute(self, shape: Shape) -> None:
        """One step, on the device from beginning to end."""
        rows = self._buffers["table"].index_select(0, self.cursor)[0, : shape.batch]  # (B, columns)
        torch.index_select(self._buffers["lr"], 0, self.cursor, out=self._lr)
        self.optimizer.zero_grad(set_to_none=True)
        compute = compiled_losses if self._compile and shape.batch == self.conf.batch_size else static_losses
        given = self.tables.batch(rows, shape, self.by_utt)
        losses = compute(self.model, self.losses, given, self.conf.precision == "bf16")
        self._one = torch.ones_like(losses["loss"]) if self._one is None else self._one
        losses["loss"].backward(self._one)
        if self.conf.grad_clip:
            nn.utils.clip_grad_norm_([*self.model.parameters(), *self.losses.parameters()], self.conf.grad_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        values = torch.stack([full(value.detach()) for value in losses.values()])
        steps = len(self._buffers["table"])
        if self._step_log is None or self._steps is None or len(self._step_log) < steps:
            self._step_log = torch.zeros(steps, len(values), dtype=values.dtype, device=self.device)
            self._steps = torch.arange(steps, device=self.device)[:, None]
        self.columns = list(losses)
        torch.where(self._steps.eq(self.cursor), values, self._step_log, out=self._step_log)  # index_copy_ sorts first
        self.cursor.add_(1)

    # capturing

    def _prepared(self, shape: Shape, step: int) -> Any:
        """A graph of the step of a shape (None on a CPU), with every tensor as it was before.

        `step`: of the epoch, with such a shape: rows of another one could be longer than it.
        """
        kept = self._snapshot()
        self.model.train()
        with self._drawing():
            try:
                self._warm_up(shape, step)
                return self._captured(shape, step) if self.on_gpu else None
            finally:
                self.optimizer.zero_grad(set_to_none=True)
                self._restore(kept)

    def _warm_up(self, shape: Shape, step: int) -> None:
        try:
            for _ in range(WARM_UPS if self.on_gpu else 1):
                self.cursor.fill_(step)
                self._compute(shape)
        except CannotCompile as error:
            say_once(f"torch.compile: {error}; steps are computed without it")
            self._compile = False
            self._warm_up(shape, step)
        except (torch.OutOfMemoryError, CannotCapture):
            raise
        except Exception as error:  # of somebody's own class, or what the readable way reports better
            raise CannotCapture(first_line(error)) from error

    def _captured(self, shape: Shape, step: int) -> Any:
        if self.average is not None:
            self.average.n_averaged.fill_(1)  # which later steps see
        self.cursor.fill_(step)
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.current_stream(self.device).synchronize()
        graph, pool = torch.cuda.CUDAGraph(), _pool()
        try:
            with torch.cuda.graph(
                graph, pool=pool, stream=thread_stream(self.device), capture_error_mode="thread_local"
            ):
                self._compute(shape)
        except RuntimeError as error:
            _end_capture(self.device, pool)
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise CannotCapture(first_line(error)) from error
        return graph

    def _snapshot(self) -> list[tuple[Tensor, Tensor]]:
        tensors = [*_tensors(self.model), *_tensors(self.losses)]
        if self.average is not None:
            tensors += [*_tensors(self.average)]
        tensors += [value for state in self.optimizer.state.values() for value in state.values()]
        return [(tensor, tensor.detach().clone()) for tensor in (*tensors, self.cursor)]

    @torch.no_grad()
    def _restore(self, kept: list[tuple[Tensor, Tensor]]) -> None:
        for tensor, value in kept:
            tensor.copy_(value)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Let PyTorch draw from the generator of the lane, whose state a graph keeps that is captured meanwhile."""
        with DRAWS, COMPILING:
            default = torch.cuda.default_generators[self.device.index or 0] if self.on_gpu else torch.default_generator
            if self.on_gpu:
                before = default.graphsafe_get_state()
                default.graphsafe_set_state(self.generator.graphsafe_get_state())
                try:
                    yield
                finally:
                    default.graphsafe_set_state(before)
            else:
                state = default.get_state()
                default.set_state(self.generator.get_state())
                try:
                    yield
                finally:
                    self.generator.set_state(default.get_state())
                    default.set_state(state)


def lane_of(key: str) -> Lane | None:
    """The lane that this thread has under a key."""
    return _lanes().get(key)


def keep_lane(key: str, lane: Lane) -> None:
    """Keep a lane for later runs of this thread, and drop those of other features, which hold these in memory."""
    lanes, features = _lanes(), lane.tables.features
    flat = None if features is None else features.flat
    for other in [k for k, each in lanes.items() if not each.reads(flat)]:
        del lanes[other]
    lanes[key] = lane


def drop_lanes() -> None:
    """Forget the lanes of this thread, and so give their memory back."""
    _lanes().clear()
    _of_thread.pool = None


def _lanes() -> dict[str, Lane]:
    if getattr(_of_thread, "lanes", None) is None:
        _of_thread.lanes = {}
    return _of_thread.lanes


def labels_of(tables: TableMaker, labels: Mapping[str, int]) -> Tensor:
    """(utterances,) class indices in the order of the tables; 0 where there is none."""
    return torch.tensor([labels.get(utt, 0) for utt in tables.utts])


def h_s_of(tables: TableMaker, h_s: Mapping[str, Tensor], device: torch.device) -> Tensor:
    """(utterances, D) of the teacher in the order of the tables; 0 where there is none."""
    one = next(iter(h_s.values()))
    found = torch.zeros(len(tables.utts), len(one), dtype=one.dtype, device=device)
    utts = [utt for utt in tables.utts if utt in h_s]
    rows = torch.tensor([tables.number[utt] for utt in utts], device=device)
    found[rows] = torch.stack([h_s[utt] for utt in utts])
    return found
