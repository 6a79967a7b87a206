"""The interface of all speech-enhancement front-ends, with batching and fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.device import in_halves
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real


class FrontEnd(nn.Module):
    """A frozen speech enhancer: waveform in, waveform of the same shape out.

    A subclass sets ``sample_rate`` and defines :meth:`enhance_equal`, which is given clips of one length; padding,
    order and lengths are handled here, so a batch gives each clip what it would get alone. The module is always frozen
    and in eval mode, whatever ``train()`` its owner calls, and :meth:`enhance` builds no graph.

    Attributes:
        sample_rate: rate of input and output, Hz.
        causal: the output does not depend on later samples. Clips of unequal length then share a batch, through
            :meth:`enhance_padded`.
        needs_ids: the output depends on the utterance id. Whole utterances go through :meth:`enhance_utterance`.
        path_options: options that are paths; the fingerprint has ``checkpoint_sha256`` in their place.
        revision: increase it when a change of the code changes the output; part of the fingerprint, so that existing
            dumps are made again.
        name: registered name, or ``package.module:Class``.
        conf: all constructor options with their values, defaults included.
        checkpoint_sha256: digest of the files that the output depends on (mostly the weights), if any.
        package: distribution name and version of the model, if any.
    """

    sample_rate: int = 16000
    revision: int = 1
    causal: bool = False
    needs_ids: bool = False
    path_options: tuple[str, ...] = ("checkpoint",)

    def __init__(self, conf: dict[str, Any] | None = None) -> None:
        """``conf``: constructor options; set by :func:`trnet.frontend.build_frontend` for classes that pass none."""
        super().__init__()
        self.name = f"{type(self).__module__}:{type(self).__qualname__}"
        self.conf: dict[str, Any] = dict(conf or {})
        self.checkpoint_sha256: str | None = None
        self.package: str | None = None
        self.training = False

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """Enhance clips of one length.

        ``wav`` (clips, samples) is float32 in [-1, 1], samples >= 1, without padding.

        Returns:
            (clips, samples) float32, aligned with the input to the sample.
        """
        if self.causal:
            return self.enhance_padded(wav, [wav.shape[1]] * len(wav))
        raise NotImplementedError(f"{type(self).__name__} has to define enhance_equal(wav)")

    def enhance_padded(self, wav: Tensor, sizes: list[int]) -> Tensor:
        """Enhance clips of unequal length, (clips, samples) float32 in [-1, 1]; causal front-ends only.

        Past a clip's end, which ``sizes`` says, input is undefined and output ignored.
        """
        raise NotImplementedError(f"{type(self).__name__} is causal: it has to define enhance_padded(wav, sizes)")

    def enhance_utterance(self, utt: str, wav: Tensor) -> Tensor:
        """Enhance an utterance by its id in the data dir; front-ends with ``needs_ids`` only.

        ``wav`` is the whole utterance (samples,), which may peak above 1; the result is aligned to the sample.
        """
        raise NotImplementedError(f"{type(self).__name__} needs ids: it has to define enhance_utterance(utt, wav)")

    @torch.no_grad()
    def enhance(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Enhance a padded batch; each clip gets the same output as alone.

        Args:
            wav: (batch, samples) float32 in [-1, 1] at ``sample_rate``.
            lengths: (batch,) valid samples of each clip; None: all of them.

        Returns:
            (batch, samples) float32 on the device of ``wav``; 0 past each clip's length.

        Raises:
            TrnetError: If the shape or type is wrong, a length lies outside 0..samples, a sample is not finite, or the
                front-end needs ids.
        """
        return self.enhance_checked(wav, self.checked_sizes(wav, lengths))

    def checked_sizes(self, wav: Tensor, lengths: Tensor | None = None) -> list[int]:
        """The samples of each clip of a padded batch; arguments and errors are those of :meth:`enhance`.

        A batch that is checked before it is sent to a GPU need not wait for what the GPU does.
        """
        if self.needs_ids:
            raise TrnetError(f"front-end {self.name}: enhances utterances of data dirs, by their ids: use stage 3")
        sizes = self._check(wav, lengths)
        bad = [row for row, size in enumerate(sizes) if size and not bool(torch.isfinite(wav[row, :size]).all())]
        if bad:
            raise TrnetError(
                f"front-end {self.name}: clips {bad} of the batch hold samples that are not finite (NaN or Inf): "
                "repair or leave out these recordings"
            )
        return sizes

    @torch.no_grad()
    def enhance_checked(self, wav: Tensor, sizes: list[int]) -> Tensor:
        """:meth:`enhance` of a batch of which :meth:`checked_sizes` gave the sizes."""
        out = torch.zeros_like(wav)
        rows = [row for row, size in enumerate(sizes) if size]
        groups: dict[int, list[int]] = {}
        for row in rows:
            groups.setdefault(0 if self.causal else sizes[row], []).append(row)
        for members in groups.values():
            longest = max(sizes[row] for row in members)
            side_by_side = members[-1] - members[0] == len(members) - 1
            chosen = wav[members[0] : members[-1] + 1] if side_by_side else wav[members]  # a list waits for a GPU
            clips = chosen[:, :longest].clone(memory_format=torch.contiguous_format)
            own = [sizes[row] for row in members]
            enhanced = self._together(clips, own)
            if enhanced.shape != clips.shape:
                raise TrnetError(
                    f"front-end {self.name}: returned shape {tuple(enhanced.shape)} for input {tuple(clips.shape)}: it "
                    "has to keep the shape"
                )
            for row, clip in zip(members, enhanced, strict=True):
                out[row, : sizes[row]] = clip[: sizes[row]].to(out)
        return out

    def _together(self, clips: Tensor, sizes: list[int]) -> Tensor:
        """Enhance (clips, samples), in halves where a GPU's memory holds no more."""

        def enhance(rows: Sequence[int]) -> list[Tensor]:
            part, ends = clips[rows[0] : rows[-1] + 1], sizes[rows[0] : rows[-1] + 1]
            return [self.enhance_padded(part, ends) if min(ends) < part.shape[1] else self.enhance_equal(part)]

        parts = in_halves(enhance, range(len(clips)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def forward(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Same as :meth:`enhance`."""
        return self.enhance(wav, lengths)

    def train(self, mode: bool = True) -> FrontEnd:
        """Stay in eval mode, whatever the mode of the owner."""
        return super().train(False)

    def describe(self) -> dict[str, Any]:
        """Identify the front-end, for JSON.

        ``weights_sha256`` is of the current state_dict; None if that is empty.
        """
        return {
            "name": self.name,
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "revision": self.revision,
            "sample_rate": self.sample_rate,
            "conf": json.loads(json.dumps(self.conf, default=str, sort_keys=True)),
            "checkpoint_sha256": self.checkpoint_sha256,
            "weights_sha256": _weights_sha256(self.state_dict()),
            "package": self.package,
        }

    def fingerprint(self) -> dict[str, Any]:
        """What dumps record of this front-end, to be compared with ``==``: :meth:`describe` without paths."""
        identity = self.describe()
        if self.checkpoint_sha256:
            identity["conf"] = {k: v for k, v in identity["conf"].items() if k not in self.path_options}
        return identity

    def untrained_conf(self) -> dict[str, Any] | None:
        """Options of the same network without its checkpoint, to load a state_dict into; None without one."""
        if not {"checkpoint", "init"} <= self.conf.keys():
            return None
        return self.conf | {"checkpoint": None, "init": "random"}

    @property
    def device(self) -> torch.device:
        """Device of the weights; the CPU without any."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def _check(self, wav: Tensor, lengths: Tensor | None) -> list[int]:
        """Check a batch; the length of each clip, samples."""
        if wav.ndim != 2 or wav.dtype != torch.float32:
            raise TrnetError(
                f"front-end {self.name}: the waveform has to be float32 (batch, samples), not {wav.dtype} "
                f"{tuple(wav.shape)}: reshape or convert it"
            )
        batch, samples = wav.shape
        if lengths is None:
            return [samples] * batch
        sizes = [int(n) for n in lengths.reshape(-1).tolist()]
        if lengths.shape != (batch,) or any(n < 0 or n > samples for n in sizes):
            raise TrnetError(
                f"front-end {self.name}: lengths {sizes[:8]} do not fit a batch of {batch} clips of {samples} samples: "
                f"give one length in 0..{samples} for each clip"
            )
        return sizes


def _weights_sha256(state: dict[str, Tensor]) -> str | None:
    """Digest of the names, types, shapes and bytes of a state_dict; None if empty."""
    if not state:
        return None
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_option(name: str, key: str, value: float, low: float, high: float) -> float:
    """A number among a front-end's options.

    Raises:
        TrnetError: If it is no number from ``low`` to ``high``.
    """
    try:
        return real(value, low, high)
    except ValueError as error:
        raise TrnetError(f"front-end {name}: frontend_conf.{key}: {error}: correct it there") from None


def check_level(name: str, level_dbfs: float | None) -> float | None:
    """The option ``level_dbfs``: None, or -60..0 dB.

    Raises:
        TrnetError: If it is anything else.
    """
    return None if level_dbfs is None else check_option(name, "level_dbfs", level_dbfs, -60, 0)


def at_level(wav: Tensor, level_dbfs: float | None, sizes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scale each clip of (clips, samples) to a level, limited to a peak of full scale.

    Args:
        level_dbfs: RMS, dB re full scale; None: no change.
        sizes: (clips, 1) valid samples of each clip, zeros behind; None: all of them.

    Returns:
        The scaled clips, and the gains, (clips, 1), to divide the result by; 1 for clips below -100 dB.
    """
    if level_dbfs is None:
        return wav, wav.new_ones(wav.shape[0], 1)
    count = wav.shape[1] if sizes is None else sizes
    rms = (wav.square().sum(dim=1, keepdim=True) / count).sqrt()
    peak = wav.abs().amax(dim=1, keepdim=True)
    gain = torch.minimum(10 ** (level_dbfs / 20) / rms, 1 / peak)
    gain = torch.where(rms > 1e-5, gain, torch.ones_like(gain))
    return wav * gain, gain
