"""What every speech-enhancement front-end shares: the interface, batching, identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.errors import TrnetError


class FrontEnd(nn.Module):
    """A frozen speech enhancer: waveform in, waveform of the same shape out.

    A subclass sets ``sample_rate`` and writes :meth:`enhance_equal`, which sees clips of one
    length only; padding, order and lengths are handled here, so a clip of a batch comes out as it
    would alone. The module stays in eval mode whatever ``train()`` its owner calls, and
    :meth:`enhance` builds no graph: no statistic and no weight of the front-end ever moves.

    Attributes:
        sample_rate: rate of the waveforms in and out, Hz.
        causal: the network sees no future, so that zeros behind a clip change nothing before them and
            clips of unequal length share a batch, through :meth:`enhance_padded`.
        needs_ids: what comes out is found by the utterance's id, so that :meth:`enhance_utterance` is asked, with whole
            utterances.
        path_options: names of the options that name files. The fingerprint has ``checkpoint_sha256`` in their place.
        revision: raise it when the code of a front-end changes what comes out; it is part of the
            fingerprint, so old dumps are not taken for new ones.
        name: registered name, or ``package.module:Class``.
        conf: all constructor options with their values, defaults included.
        checkpoint_sha256: digest of the files that what comes out depends on (the weights, mostly), if any.
        package: distribution name and version of the model, if any.
    """

    sample_rate: int = 16000
    revision: int = 1
    causal: bool = False
    needs_ids: bool = False
    path_options: tuple[str, ...] = ("checkpoint",)

    def __init__(self, conf: dict[str, Any] | None = None) -> None:
        """Start a front-end.

        Args:
            conf: the options it was built with; :func:`trnet.frontend.build_frontend` fills them
                in for classes that pass nothing.
        """
        super().__init__()
        self.name = f"{type(self).__module__}:{type(self).__qualname__}"
        self.conf: dict[str, Any] = dict(conf or {})
        self.checkpoint_sha256: str | None = None
        self.package: str | None = None
        self.training = False

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """Enhance clips of one length.

        Args:
            wav: (clips, samples) float32 in [-1, 1], samples >= 1, no padding.

        Returns:
            (clips, samples) float32, aligned with the input to the sample.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define enhance_equal(wav)")

    def enhance_padded(self, wav: Tensor, sizes: list[int]) -> Tensor:
        """Enhance clips of unequal length; asked of causal front-ends only.

        Args:
            wav: (clips, samples) float32 in [-1, 1]; what lies behind a clip's end is undefined.
            sizes: valid samples of each clip.

        Returns:
            (clips, samples) float32; what lies behind a clip's end does not matter.
        """
        raise NotImplementedError(f"{type(self).__name__} is causal: it has to define enhance_padded(wav, sizes)")

    def enhance_utterance(self, utt: str, wav: Tensor) -> Tensor:
        """Enhance an utterance that is known by its id; asked of front-ends with ``needs_ids`` only.

        Args:
            utt: its id in the data dir.
            wav: (samples,) float32 at ``sample_rate``, the whole utterance; a mixture may peak above 1.

        Returns:
            (samples,) float32, aligned with the input to the sample.
        """
        raise NotImplementedError(f"{type(self).__name__} needs ids: it has to define enhance_utterance(utt, wav)")

    @torch.no_grad()
    def enhance(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Enhance a padded batch; each clip comes out as it would alone.

        Args:
            wav: (batch, samples) float32 in [-1, 1] at ``sample_rate``.
            lengths: (batch,) valid samples of each clip; None: all of them.

        Returns:
            (batch, samples) float32 on the device of ``wav``; 0 past each clip's length.

        Raises:
            TrnetError: wrong shape or type, a length outside 0..samples, a sample that is not
                finite, or a front-end that needs ids.
        """
        if self.needs_ids:
            raise TrnetError(f"front-end {self.name}: enhances utterances of data dirs, by their ids: use stage 3")
        sizes = self._check(wav, lengths)
        out = torch.zeros_like(wav)
        rows = [row for row, size in enumerate(sizes) if size]
        if not rows:
            return out
        bad = [r for r in rows if not bool(torch.isfinite(wav[r, : sizes[r]]).all())]
        if bad:
            raise TrnetError(
                f"front-end {self.name}: clip(s) {bad} of the batch hold samples that are not "
                "finite (NaN or Inf): repair or leave out these recordings"
            )
        groups: dict[int, list[int]] = {}
        for row in rows:
            groups.setdefault(0 if self.causal else sizes[row], []).append(row)
        for members in groups.values():
            longest = max(sizes[row] for row in members)
            clips = wav[members, :longest]
            own = [sizes[row] for row in members]
            got = self.enhance_padded(clips, own) if min(own) < longest else self.enhance_equal(clips)
            if got.shape != clips.shape:
                raise TrnetError(
                    f"front-end {self.name}: gave shape {tuple(got.shape)} for input "
                    f"{tuple(clips.shape)}: it has to keep the shape"
                )
            for row, clip in zip(members, got, strict=True):
                out[row, : sizes[row]] = clip[: sizes[row]].to(out)
        return out

    def forward(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Same as :meth:`enhance`."""
        return self.enhance(wav, lengths)

    def train(self, mode: bool = True) -> FrontEnd:
        """Stay in eval mode: a front-end is frozen while what follows it trains."""
        return super().train(False)

    def describe(self) -> dict[str, Any]:
        """Say in full which front-end this is.

        Returns:
            A dict that ``json.dumps`` takes: ``name``, ``class``, ``revision``, ``sample_rate``,
            ``conf``, ``checkpoint_sha256``, ``weights_sha256`` (of the tensors held now; None where
            there are none) and ``package``.
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
        """What dumps of this front-end are kept under: :meth:`describe` less the paths.

        Where a file lies does not count, only what it holds: the same file at another path gives an
        equal dict, another file at the same path does not.

        Returns:
            A dict that ``json.dumps`` takes, to be compared with ``==``.
        """
        identity = self.describe()
        if self.checkpoint_sha256:
            identity["conf"] = {k: v for k, v in identity["conf"].items() if k not in self.path_options}
        return identity

    def untrained_conf(self) -> dict[str, Any] | None:
        """Options that build this very network without its checkpoint, to be filled from a state_dict.

        Returns:
            The options; None where the weights do not come in by ``checkpoint``.
        """
        if not {"checkpoint", "init"} <= self.conf.keys():
            return None
        return self.conf | {"checkpoint": None, "init": "random"}

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a front-end without any."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def _check(self, wav: Tensor, lengths: Tensor | None) -> list[int]:
        """Refuse a malformed batch.

        Returns:
            The length of each clip, samples.
        """
        if wav.ndim != 2 or wav.dtype != torch.float32:
            raise TrnetError(
                f"front-end {self.name}: the waveform has to be float32 (batch, samples), not "
                f"{str(wav.dtype).removeprefix('torch.')} {tuple(wav.shape)}: reshape or convert it"
            )
        batch, samples = wav.shape
        if lengths is None:
            return [samples] * batch
        sizes = [int(n) for n in lengths.reshape(-1).tolist()]
        if lengths.shape != (batch,) or any(n < 0 or n > samples for n in sizes):
            raise TrnetError(
                f"front-end {self.name}: lengths {sizes[:8]} do not fit a batch of {batch} clips "
                f"of {samples} samples: give one length in 0..{samples} for each clip"
            )
        return sizes


def _weights_sha256(state: dict[str, Tensor]) -> str | None:
    """Digest names, types, shapes and bytes of a state_dict; None for an empty one."""
    if not state:
        return None
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_level(name: str, level_dbfs: float | None) -> None:
    """Refuse a ``frontend_conf.level_dbfs`` that is neither None nor a number in -60..0 dB."""
    if level_dbfs is None:
        return
    number = isinstance(level_dbfs, int | float) and not isinstance(level_dbfs, bool)
    if not number or not -60 <= level_dbfs <= 0:
        raise TrnetError(
            f"front-end {name}: frontend_conf.level_dbfs is {level_dbfs!r}: give dB in -60..0, or "
            "null to leave the level alone"
        )


def at_level(wav: Tensor, level_dbfs: float | None, sizes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Bring each clip to a level, but no peak over full scale.

    Args:
        wav: (clips, samples), zeros behind the end of a clip.
        level_dbfs: wanted RMS, dB re full scale; None: no change.
        sizes: (clips, 1) valid samples of each clip; None: all of them.

    Returns:
        The scaled clips, and the gains, (clips, 1), to divide the result by; digital silence and
        all below -100 dB keep the gain 1.
    """
    if level_dbfs is None:
        return wav, wav.new_ones(wav.shape[0], 1)
    count = wav.shape[1] if sizes is None else sizes
    rms = (wav.square().sum(dim=1, keepdim=True) / count).sqrt()
    peak = wav.abs().amax(dim=1, keepdim=True)
    gain = torch.minimum(10 ** (level_dbfs / 20) / rms, 1 / peak)
    gain = torch.where(rms > 1e-5, gain, torch.ones_like(gain))
    return wav * gain, gain
