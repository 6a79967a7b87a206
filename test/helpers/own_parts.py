"""Parts as somebody outside of trnet writes them, and some that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trnet.model.batch import Batch, Output
from trnet.model.systems import make_ser

if TYPE_CHECKING:
    from pathlib import Path


class MeanEncoder(nn.Module):
    """A projection of the means of `every` frames."""

    def __init__(self, dim: int, size: int = 6, every: int = 2, note: str = "") -> None:
        super().__init__()
        self.project, self.every, self.out_dim = nn.Linear(dim, size), every, size

    def lengths(self, counts: Tensor) -> Tensor:
        return (counts + self.every - 1) // self.every

    def forward(self, x, frames):
        x = self.project(x) * frames.mask[..., None]
        missing = -x.shape[1] % self.every
        x = nn.functional.pad(x, (0, 0, 0, missing))
        return torch.tanh(x.unflatten(1, (-1, self.every)).mean(2))


class MaxPooling(nn.Module):
    def __init__(self, dim: int, scale: float = 1.0, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.out_dim, self.scale = dim, scale

    def forward(self, y, frames):
        return self.scale * y.masked_fill(~frames.mask[..., None], -torch.inf).amax(1)


class CentreLoss(nn.Module):
    """Distance to a trained centre of each class."""

    needs = ()

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(classes, dim))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return (output.h.float() - self.centres[batch.labels]).square().mean()


class Distance:
    """Of noisy and enhanced features; no module, and no parameters."""

    needs = ("noisy", "enhanced")

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        return (batch.noisy - batch.enhanced).square().mean() + 0 * output.logits.mean()


class Late(nn.Module):
    """A system that averages the logits of both kinds of features."""

    inputs = ("noisy", "enhanced")

    def __init__(self, config, num_classes: int) -> None:
        super().__init__()
        self.share = config.system.options.get("share", 0.5)
        self.ser = make_ser(config, num_classes)

    def forward(self, batch: Batch) -> Output:
        noisy, enhanced = (self.ser.represent(x, batch.frames) for x in (batch.noisy, batch.enhanced))
        h = self.share * noisy + (1 - self.share) * enhanced
        return Output(self.ser.classifier(h), h)


class Energies:
    """Log energy of thirds of each stretch of audio, 20 ms long unless told otherwise."""

    sample_rate, dim = 16000, 3

    def __init__(self, window: int = 320) -> None:
        self.window = window

    def num_frames(self, samples: int) -> int:
        return samples // self.window

    def __call__(self, wav: Tensor) -> Tensor:
        frames = wav[: self.num_frames(len(wav)) * self.window].unflatten(0, (-1, self.window))
        thirds = frames[:, : self.window // 3 * 3].unflatten(1, (3, -1))
        return (thirds.square().mean(2) + 1e-6).log()

    def fingerprint(self) -> dict:
        return {"window": "square"}


class Needy:
    """Takes an option that has no default."""

    def __init__(self, dim: int, size: int) -> None: ...


class Unreadable(nn.Module):
    """An annotation that is nowhere when the program runs."""

    def __init__(self, dim: int, path: Path = None) -> None: ...


class Anything(nn.Module):
    """Takes any option."""

    def __init__(self, dim: int, **options) -> None:
        super().__init__()
        self.options, self.out_dim = options, dim

    def forward(self, x, frames):
        return x


class Raises(nn.Module):
    inputs, needs = ("noisy",), ()

    def __init__(self, *_, **__) -> None:
        raise ZeroDivisionError("a bug\nof yours")


class NoModule:
    inputs = ("noisy",)

    def __init__(self, *_, **__) -> None: ...


class NoInputs(nn.Module):
    inputs = "noisy"


class NoNeeds:
    needs = ["clean"]

    def __call__(self, output, batch): ...


class Vector:
    """A loss that is no scalar."""

    needs = ()

    def __call__(self, output, batch):
        return output.h.mean(1)


class FailingLoss:
    needs = ()

    def __call__(self, output, batch):
        raise ZeroDivisionError("a bug\nof yours")


class Words:
    """How many utterances have a transcript; asks for no encoder that CTC can tap."""

    needs = ("text",)

    def __call__(self, output, batch):
        return output.h.mean() * sum(tokens is not None for tokens in batch.text)


class OwnWeight:
    """Has an option that trnet itself reads."""

    needs = ()

    def __init__(self, weight: float = 1.0) -> None: ...


class OwnOptions(nn.Module):
    """Has an option with the name of a method of sections."""

    def __init__(self, dim: int, options: int = 1) -> None: ...


class Activated(nn.Module):
    """Has a tuple, and a function, which no YAML holds."""

    def __init__(self, dim: int, kernels: tuple[int, ...] = (3,), activation: Callable = torch.relu) -> None: ...


class Halving(nn.Module):
    """An encoder that does not say how it shortens time."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, x, frames):
        return x[:, ::2]


class Misshapen(Late):
    """A system whose c has an axis too many."""

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return output._replace(c=output.h.sigmoid()[:, :1])


class OtherRate(Energies):
    sample_rate = 8000


class OneFrameLess(Energies):
    def __call__(self, wav: Tensor) -> Tensor:
        return super().__call__(wav)[1:]


class Fails(Energies):
    def __call__(self, wav: Tensor) -> Tensor:
        raise ZeroDivisionError("a bug\nof yours")
