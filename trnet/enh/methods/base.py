"""What the training of every network shares: its front-end, its optimisers, one step, one checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trnet.config import build
from trnet.enh.config import EnhConfig
from trnet.frontend import build_frontend
from trnet.runs.checkpoint import load_part, load_weights, way_out
from trnet.utils.errors import TrnetError

PesqMap = Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], list[float]]
"""PESQ of pairs (estimate, clean) of signals (samples,) at 16 kHz."""


class Method:
    """One network with its losses and optimisers.

    The network is that of an untrained front-end, so that it is validated by the very code that later uses it.

    Attributes:
        Loss: dataclass of the loss's settings, set by the subclass; a default for every field.
        frontend: the front-end; ``frontend.network`` is trained.
        loss: weights, an instance of ``Loss``.
        optimizers: by name; ``network`` is the network's own.
    """

    Loss: ClassVar[type]

    def __init__(self, config: EnhConfig, pesq_map: PesqMap) -> None:
        """Build everything untrained.

        Args:
            config: how to train.
            pesq_map: where a loss needs PESQ.

        Raises:
            TrnetError: sizes or loss weights that do not exist or do not go together.
        """
        if reserved := {"checkpoint", "init"} & config.sizes.keys():
            raise TrnetError(f"sizes.{reserved.pop()}: a network is trained from the start; delete the line")
        conf = {"init": "random", **config.sizes}
        self.frontend = build_frontend({"frontend": config.frontend, "frontend_conf": conf})
        self.training, self.pesq_map = config.training, pesq_map
        self.loss = build(self.Loss, config.loss, "loss")
        if config.training.start == "identity":
            if not hasattr(self.network, "start_as_identity"):
                raise TrnetError(f"training.start: {config.frontend} cannot start as the identity; delete the line")
            self.network.start_as_identity()
        self.network.requires_grad_(True)
        self.optimizers = {"network": self.make_optimizer(self.network, 1.0)}

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.frontend.network

    def sizes(self) -> dict[str, Any]:
        """All that the front-end needs to build this very network, as its checkpoint keeps it."""
        return dataclasses.asdict(self.frontend.sizes)

    def make_optimizer(self, module: nn.Module, factor: float) -> torch.optim.Optimizer:
        """The configured optimiser of a module, at `factor` times the learning rate."""
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.training.optimizer]
        conf = self.training
        optimizer = kind(module.parameters(), lr=conf.lr * factor, weight_decay=conf.weight_decay)
        for group in optimizer.param_groups:
            group["factor"] = factor
        return optimizer

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of all optimisers, each by its factor."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr * group["factor"]

    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by name."""
        return {"network": self.network}

    def step(self, noisy: Tensor, clean: Tensor) -> dict[str, float]:
        """Train on one batch.

        Args:
            noisy: (batch, samples) float32 at 16 kHz.
            clean: the same, aligned to the sample.

        Returns:
            The losses by name; ``loss`` is the network's whole.

        Raises:
            TrnetError: the loss is not finite.
        """
        parts = self.losses(noisy, clean)
        self.update("network", self.network, parts["loss"])
        return {name: part.item() for name, part in parts.items()}

    def losses(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """The losses of one batch as scalars; see :meth:`step`."""
        raise NotImplementedError(f"{type(self).__name__} has to define losses(noisy, clean)")

    def update(self, name: str, module: nn.Module, loss: Tensor) -> None:
        """One step of an optimiser.

        Raises: TrnetError if the loss is not finite.
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
        """All weights and the optimisers' states."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Take up what :meth:`state` gave.

        Raises: TrnetError, which names `path`, if it is of another network, or damaged.
        """
        wanted = {"modules": self.modules(), "optimizers": self.optimizers}
        for kind, parts in wanted.items():
            if not isinstance(state.get(kind), dict) or state[kind].keys() != parts.keys():
                raise TrnetError(f"{path}: entry 'method.{kind}' is missing or damaged; {way_out(path)}")
        for name, module in wanted["modules"].items():
            load_weights(module, state["modules"][name], path)
        for name, optimizer in wanted["optimizers"].items():
            load_part(optimizer, state["optimizers"][name], path, f"method.optimizers.{name}")
