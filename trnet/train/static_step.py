"""The forward pass and the losses on batches of static shapes, which PyTorch compiles whole.

Lengths are tensors on the device, so that nothing in the network depends on them but its numbers. The losses and
gradients are those of `run_system` on the same utterances, whatever they are padded to.
"""

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.model.batch import Batch, Output, StaticBatch
from trnet.model.feature_scale import scaled_batch
from trnet.model.masked_batch_norm import count_batch
from trnet.model.systems import check_output
from trnet.train.losses import WeightedSum
from trnet.train.table_batch import TableBatch
from trnet.train.widths import width_for
from trnet.utils.compiled import compile_cache
from trnet.utils.errors import first_line

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
LARGEST = 64  # graphs that PyTorch keeps of one function: systems times widths
COMPILING = threading.RLock()
"""Of whoever compiles or captures; PyTorch does one at a time."""

_said: set[str] = set()  # lines that were logged
_failed: dict[tuple[str, ...], str] = {}  # why compiling failed, by function and modules


def static_losses(system: nn.Module, losses: WeightedSum, given: Tensors | TableBatch, bf16: bool) -> Tensors:
    """The losses of a system on a batch, by column; the sum is ``loss``.

    Args:
        given: Fields of a `Batch`: features (B, T, F), ``lengths`` (B,) and what else the losses need, on one device;
            or where these lie.
        bf16: Whether matrix products and convolutions are computed in bfloat16; losses and Eq. 1 to 5 never are.
    """
    found = _losses(system, losses, given, bf16)
    count_batch(system)
    return found


def _losses(system: nn.Module, losses: WeightedSum, given: Tensors | TableBatch, bf16: bool) -> Tensors:
    tensors = given.tensors() if isinstance(given, TableBatch) else given
    batch = scaled_batch(system, StaticBatch((), **tensors))  # type: ignore[arg-type]
    with torch.autocast(batch.lengths.device.type, torch.bfloat16, enabled=bf16):
        output = check_output(system, system(batch), len(batch.lengths))
    return losses(output, batch)


def static_outputs(system: nn.Module, tensors: Tensors) -> Output:
    """What a system gives for a batch of such tensors, in float32."""
    batch = scaled_batch(system, StaticBatch((), **tensors))  # type: ignore[arg-type]
    return check_output(system, system(batch), len(batch.lengths))


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compile_cache()
    import torch._dynamo  # here, because it takes a second
    import torch._inductor.config as inductor

    torch._dynamo.config.recompile_limit = max(LARGEST, torch._dynamo.config.recompile_limit)
    if hasattr(inductor, "deterministic"):
        inductor.deterministic = True  # nothing that is timed decides an order of summation
    return torch.compile(function, fullgraph=True, dynamic=False)


class CannotCompile(Exception):
    """A network, or a machine, that `torch.compile` fails on."""


def _call_compiled(function: Callable[..., Any], system: nn.Module, *given: Any) -> Any:
    """``function(system, *given)``, compiled for the shapes of the tensors at its first call with them.

    What has failed once is not tried again, for these modules and others that are built as they are.

    Raises:
        CannotCompile: If that fails.
    """
    if _failed and (why := _failed.get(_key(function, system, *given))) is not None:
        raise CannotCompile(why)
    try:
        with COMPILING:
            return _compiled(function)(system, *given)
    except (torch.OutOfMemoryError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        _failed[_key(function, system, *given)] = first_line(error)
        raise CannotCompile(first_line(error)) from error


def _key(function: Callable[..., Any], *given: Any) -> tuple[str, ...]:
    """A function and the modules that it is called with, as texts, which takes milliseconds."""
    return (function.__name__, *(repr(each) for each in given if isinstance(each, nn.Module)))


def compiled_losses(system: nn.Module, losses: WeightedSum, given: Tensors | TableBatch, bf16: bool) -> Tensors:
    """`static_losses`, compiled for the shapes of the tensors at its first call with them.

    Raises:
        CannotCompile: If that fails; no tensor has been changed then.
    """
    if isinstance(given, TableBatch):
        given.allow_any_number_of_rows()
    found = _call_compiled(_losses, system, losses, given, bf16)
    count_batch(system)
    return cast("Tensors", found)


def compiled_outputs(system: nn.Module, tensors: Tensors) -> Output:
    """`static_outputs`, compiled for the shapes of the tensors at its first call with them; raises as the other."""
    return cast("Output", _call_compiled(static_outputs, system, tensors))


def say_once(line: str) -> None:
    """Log a line, unless this process has."""
    if line not in _said:
        _said.add(line)
        log.info("%s", line)


def widened(batch: Batch, widths: Sequence[int], mel_widths: Sequence[int]) -> Tensors:
    """The tensors of a batch, on its device, with frames padded to the next of the widths; its transcripts are not."""
    found: Tensors = {}
    for name in (
        "lengths",
        "labels",
        "noisy",
        "enhanced",
        "clean",
        "h_s",
        "snr",
        "noisy_mels",
        "enhanced_mels",
        "mel_lengths",
    ):
        value = getattr(batch, name)
        if value is None:
            continue
        if value.ndim == 3:
            width = width_for(mel_widths if name.endswith("_mels") else widths, value.shape[1])
            value = functional.pad(value, (0, 0, 0, width - value.shape[1]))
        found[name] = value.to(batch.labels.device)
    return found
