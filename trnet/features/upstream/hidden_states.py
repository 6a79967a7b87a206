"""Which layers of a network are read, and their output."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.errors import TrnetError


def layer_numbers(layer: int | list[int] | str, count: int, folder: Path) -> list[int]:
    """The hidden states that `features.layer` names in a network of `count` layers; 0 is what the first layer reads.

    ``middle`` is the middle third of the layers, 1 to `count`: 3 and 4 of 6, 5 to 8 of 12, 9 to 16 of 24.

    Raises:
        TrnetError: For a layer that is not there, or is another in each fold.
    """
    if layer == "auto":
        raise TrnetError("features.layer: auto is another layer in each fold, which is not known here; give a number")
    if layer == "middle":
        return list(range(count // 3 + 1, count - count // 3 + 1))
    numbers = [layer] if isinstance(layer, int) else [int(number) for number in layer]
    if max(numbers) > count:
        raise TrnetError(f"features.layer: {max(numbers)} is not there; {folder} has the hidden states 0 to {count}")
    return sorted(numbers)


class _Enough(Exception):
    """All that is wanted has been computed."""


def mean_of_layers(network: nn.Module, count: int, numbers: Sequence[int], inputs: dict[str, Tensor]) -> Tensor:
    """The mean of some hidden states (B, T, dim): what transformers calls ``hidden_states[k]``.

    The layers behind the last one wanted are not computed, and no more than the sum of the states is kept.

    Args:
        network: Encoder of `trnet.features.upstream.weights.load_network`.
        count: Its layers.
        numbers: Which hidden states, from 0 to `count`.
        inputs: Arguments of its forward.
    """
    total: list[Tensor] = []

    def add(state: Tensor) -> None:
        total[:] = [total[0] + state] if total else [state.clone()]

    def before(number: int) -> Any:
        def read(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            add(args[0] if args else kwargs["hidden_states"])
            if number == max(numbers):
                raise _Enough

        return read

    layers = layers_of(network, count)
    hooks = [layers[k].register_forward_pre_hook(before(k), with_kwargs=True) for k in numbers if k < count]
    try:
        with _whole_positions(network, inputs):
            output = network(**inputs, output_hidden_states=count in numbers)
        add(output.hidden_states[count])
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return total[0] / len(numbers)


def all_states(network: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """All hidden states (B, T, dim) in one pass, 0 to the number of layers."""
    with _whole_positions(network, inputs):
        states: tuple[Tensor, ...] = network(**inputs, output_hidden_states=True).hidden_states
    return states


def layer_sums(states: Sequence[Tensor], groups: Sequence[Sequence[int]]) -> Tensor:
    """Sums over time of hidden states, and of their squares: (2, B, groups, dim) float64.

    Args:
        states: Of `all_states`.
        groups: Numbers of hidden states, each a mean of so many.
    """
    found = []
    for numbers in groups:
        state = torch.stack([states[number] for number in numbers]).mean(dim=0).double()  # (B, T, dim)
        found.append(torch.stack([state.sum(dim=1), state.square().sum(dim=1)]))
    return torch.stack(found, dim=2)


def layers_of(network: nn.Module, count: int) -> nn.ModuleList:
    """The `count` layers of a network. TrnetError if they are not found."""
    for name in ("layers", "encoder.layers"):
        try:
            found = network.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList) and len(found) == count:
            return found
    raise TrnetError(f"features.model: {type(network).__name__} has no {count} layers; name another network")


@contextmanager
def _whole_positions(network: nn.Module, inputs: dict[str, Tensor]) -> Iterator[None]:
    """Let Whisper's encoder read what is not 30 s long: positions are cut to the frames that there are."""
    table = getattr(network, "embed_positions", None)
    if "input_features" not in inputs or not isinstance(table, nn.Embedding):
        yield
        return
    config: Any = network.config
    frames, whole = inputs["input_features"].shape[-1] // 2, config.max_source_positions
    network.embed_positions = nn.Embedding.from_pretrained(table.weight[:frames])
    network.max_source_positions = config.max_source_positions = frames  # type: ignore[assignment]
    try:
        yield
    finally:
        network.embed_positions = table
        network.max_source_positions = config.max_source_positions = whole


def check_hidden_states(found: Tensor, frames: int, dim: int, name: str) -> None:
    """Make sure that hidden states (B, T, dim) are of the shape that was promised, finite, and within float16's range.

    Raises:
        TrnetError: Naming the network.
    """
    check_shape(found, frames, dim, name)
    if not torch.isfinite(found).all():
        raise TrnetError(f"{name}: gives values that are not finite; its weights may be damaged: fetch them again")
    if found.abs().max() > torch.finfo(torch.float16).max:
        raise TrnetError(
            f"{name}: gives values beyond 65504, the largest of float16, in which they are kept; name another layer"
        )


def check_shape(found: Tensor, frames: int, dim: int, name: str) -> None:
    """Make sure that hidden states (B, T, dim) are of the shape that was promised. TrnetError naming the network."""
    if tuple(found.shape[1:]) != (frames, dim):
        raise TrnetError(f"{name}: gives {tuple(found.shape[1:])} instead of {(frames, dim)}; name another network")
