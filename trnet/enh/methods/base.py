"""What the training of every network shares: front-end, optimizers, step, checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trnet.config import Section, build
from trnet.enh.config import EnhConfig
from trnet.frontend import build_frontend
from trnet.frontend.trainable import TrainableFrontEnd
from trnet.runs.checkpoint import load_part, load_weights, way_out
from trnet.train.optimization import OPTIMIZERS
from trnet.utils.errors import TrnetError

PesqMap = Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], list[float]]
"""PESQ of pairs (estimate, clean) of signals (samples,) at 16 kHz."""


class Method:
    """One network with its losses and optimizers.

    The network is that of an untrained front-end, so that validation uses the front-end's own code.

    Attributes:
        loss_type: section of the loss's settings, set by the subclass.
        frontend: the front-end; ``frontend.network`` is trained.
        loss: settings, a ``loss_type``.
        optimizers: by name; ``network`` is the network's own.
    """

    loss_type: ClassVar[type[Section]]
    frontend: TrainableFrontEnd
    loss: Section

    def __init__(self, config: EnhConfig, pesq_map: PesqMap) -> None:
        """Build everything untrained; losses take PESQ from `pesq_map`.

        Raises:
            TrnetError: If sizes or loss settings are unknown, out of range or do not fit together.
        """
        if reserved := {"checkpoint", "init"} & config.sizes.keys():
            raise TrnetError(f"sizes.{reserved.pop()}: networks are trained from scratch; delete the line")
        conf = {"init": "random", **config.sizes}
        frontend = build_frontend({"frontend": config.frontend, "frontend_conf": conf})
        assert isinstance(frontend, TrainableFrontEnd)
        self.frontend = frontend
        self.training, self.pesq_map = config.training, pesq_map
        self.loss = build(self.loss_type, config.loss, "loss")
        if config.training.start == "identity":
            start: Callable[[], None] | None = getattr(self.network, "start_as_identity", None)
            if start is None:
                raise TrnetError(f"training.start: {config.frontend} cannot start as the identity; delete the line")
            start()
        self.network.requires_grad_(True)
        self.optimizers = {"network": self.make_optimizer(self.network, 1.0)}

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.frontend.network

    def make_optimizer(self, module: nn.Module, factor: float) -> torch.optim.Optimizer:
        """The configured optimizer of a module, at `factor` times the learning rate."""
        conf = self.training
        groups = [{"params": list(module.parameters()), "lr": conf.lr * factor, "factor": factor}]
        return OPTIMIZERS[conf.optimizer](groups, weight_decay=conf.weight_decay)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of all optimizers, each by its factor."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr * group["factor"]

    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by name."""
        return {"network": self.network}

    def step(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Train on one batch of aligned noisy and clean segments, (batch, samples) float32 at 16 kHz.

        Returns:
            The losses by name, scalars; ``loss`` is the network's total.

        Raises:
            TrnetError: If a loss is not finite.
        """
        losses = self.losses(noisy, clean)
        self.update("network", self.network, losses["loss"])
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """The losses of one batch, scalars; see :meth:`step`."""
        raise NotImplementedError(f"{type(self).__name__} has to define losses(noisy, clean)")

    def update(self, name: str, module: nn.Module, loss: Tensor) -> None:
        """One step of an optimizer.

        Raises:
            TrnetError: If the loss is not finite.
        """
        if not bool(torch.isfinite(loss)):
            raise TrnetError(f"loss of the {name} is {loss.item()}; lower training.lr, or set training.grad_clip")
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        loss.backward()
        if self.training.grad_clip:
            nn.utils.clip_grad_norm_(module.parameters(), self.training.grad_clip)
        optimizer.step()

    def to(self, device: torch.device) -> None:
        """Move all weights."""
        self.frontend.to(device)
        for module in self.modules().values():
            module.to(device)

    def train(self, mode: bool) -> None:
        """Training or evaluation mode of everything with weights."""
        for module in self.modules().values():
            module.train(mode)

    def state(self) -> dict[str, Any]:
        """All weights, and the optimizers' states."""
        parts: dict[str, Mapping[str, Any]] = {"modules": self.modules(), "optimizers": self.optimizers}
        return {kind: {name: each.state_dict() for name, each in part.items()} for kind, part in parts.items()}

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Resume from what :meth:`state` returned.

        Raises:
            TrnetError: Naming `path` if it does not fit.
        """
        parts: dict[str, Mapping[str, Any]] = {"modules": self.modules(), "optimizers": self.optimizers}
        for kind, part in parts.items():
            if not isinstance(state.get(kind), dict) or state[kind].keys() != part.keys():
                raise TrnetError(f"{path}: entry 'method.{kind}' is missing or damaged; {way_out(path)}")
        for name, module in self.modules().items():
            load_weights(module, state["modules"][name], path)
        for name, optimizer in self.optimizers.items():
            load_part(optimizer, state["optimizers"][name], path, f"method.optimizers.{name}")
