"""Hidden states of a pretrained network as features (frames, dim)."""

import importlib.metadata
import threading
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from trnet.config.features import Upstream
from trnet.features.upstream.hidden_states import (
    all_states,
    check_hidden_states,
    check_shape,
    layer_numbers,
    layer_sums,
    layers_of,
    mean_of_layers,
)
from trnet.features.upstream.input import make_input
from trnet.features.upstream.weights import (
    KEY,
    configuration_digest,
    find_folder,
    load_config,
    load_network,
    weights_digest,
)
from trnet.utils.errors import TrnetError


class UpstreamExtractor:
    """Hidden states of a frozen network; see `trnet.features.Extractor`.

    A clip gives the same frames alone and in a batch of clips of its length; clips of other lengths never share a
    batch, and nothing is padded. What is longer than `window` seconds is read a window at a time, each for itself.
    """

    def __init__(self, **options: Any) -> None:
        """Find the network, and read its configuration; weights are loaded when the first clip comes.

        Raises:
            TrnetError: If transformers or the network are missing, a layer is not there, or a window is too long.
        """
        self.options = Upstream(**options)
        self.folder = find_folder(self.options.model, self.options.revision)
        self.sample_rate = self.options.sample_rate
        self.device = torch.device("cpu")
        config = load_config(self.folder)
        try:
            self.count, self.dim = int(config.num_hidden_layers), int(config.hidden_size)
        except (AttributeError, TypeError):
            raise TrnetError(f"{KEY}: {self.folder}: is no network with hidden states; name another") from None
        self.layers = layer_numbers(self.options.layer, self.count, self.folder)
        self.reads = make_input(self.folder, self.sample_rate)
        self._window = round(self.options.window * self.sample_rate)
        longest = getattr(config, "max_source_positions", None)  # of Whisper
        if longest is not None and self.reads.num_frames(self._window) > longest:
            raise TrnetError(
                f"features.window: {self.folder} reads {longest} frames at a time, and "
                f"{self.options.window:g} s are {self.reads.num_frames(self._window)}; give fewer seconds"
            )
        self._cut = False  # whether layers behind are not loaded
        self._passing = threading.RLock()  # a pass puts hooks into the network, and takes them out again

    @cached_property
    def network(self) -> nn.Module:
        """The network on the device, in eval mode, its weights fixed."""
        with torch.inference_mode(False):  # gradients may pass later, even if the first clip comes without
            network = load_network(self.folder, max(self.layers) if self._cut else None)
            if self._cut:
                layers = layers_of(network, self.count)
                for number in range(max(self.layers), self.count):
                    layers[number] = nn.Identity()  # is never run; see `mean_of_layers`
            network = network.to(self.device)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # other threads compute with it, on streams of their own
        return network

    def cut(self) -> "UpstreamExtractor":
        """Do without the layers behind the last one wanted; before the first clip, and there is no `pooled` then."""
        assert "network" not in self.__dict__, "the network is loaded"
        self._cut = True
        return self

    def to(self, device: torch.device) -> "UpstreamExtractor":
        """Compute there from now on."""
        self.device = device
        if "network" in self.__dict__:
            self.network.to(device)
        return self

    def num_frames(self, samples: int) -> int:
        """Frames of a clip of so many samples; 0 if it is too short for one."""
        whole, rest = divmod(samples, self._window)
        return whole * self.reads.num_frames(self._window) + self.reads.num_frames(rest)

    def __call__(self, wav: Tensor) -> Tensor:
        """Clip (samples,) float32 in [-1, 1] -> (frames, dim) float32; errors as `batch`."""
        return self.batch([wav])[0]

    @torch.inference_mode()
    def batch(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """Clips (samples,) of one length -> of each (frames, dim) float32, what it gives alone, on the host.

        Raises:
            ValueError: If clips are shorter than the network's receptive field.
            TrnetError: If the network cannot be loaded, or gives other shapes or values that are not finite.
        """
        clips = torch.stack(list(wavs))  # (B, samples)
        found = torch.cat([self._states(part) for part in self._windows(clips)], dim=1).cpu()  # (B, frames, dim)
        check_hidden_states(found, self.num_frames(clips.shape[1]), self.dim, f"{KEY}: {self.folder}")
        return list(found)

    def of_padded(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states of clips of any lengths, through which gradients pass to the clips; the network stays as it is.

        Those of one length share a pass, so that each gets what `batch` gives it alone. Always float32.

        Args:
            wavs: Clips (B, samples) float32 in [-1, 1] on the device; what is behind their ends is not read.
            lengths: Their samples (B,), on the host.

        Returns:
            (B, T, dim) on the device, zeros behind the `num_frames` frames of each.

        Raises:
            ValueError, TrnetError: As `batch`; values that are not finite are not looked for.
        """
        by_length = defaultdict[int, list[int]](list)
        for number, length in enumerate(lengths.tolist()):
            by_length[length].append(number)
        clips, found = wavs.unbind(), dict[int, Tensor]()
        with self._passing, torch.autocast(wavs.device.type, enabled=False):
            for length, numbers in by_length.items():
                parts = self._windows(torch.stack([clips[number][:length] for number in numbers]))
                states = torch.cat([self._mean(self.reads.differentiable(part)) for part in parts], dim=1)
                check_shape(states, self.num_frames(length), self.dim, f"{KEY}: {self.folder}")
                found |= zip(numbers, states, strict=True)
        return nn.utils.rnn.pad_sequence([found[number] for number in range(len(clips))], batch_first=True)

    @torch.inference_mode()
    def pooled(self, wav: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
        """Mean and standard deviation over time of hidden states, all of them computed in one pass.

        Args:
            wav: Clip (samples,) float32 in [-1, 1].
            groups: Numbers of hidden states, 0 to `count`, each a mean of so many.

        Returns:
            (groups, 2 dim) float32 on the host: means, then deviations.

        Raises:
            ValueError, TrnetError: As `batch`.
        """
        assert not self._cut, "layers are missing"
        sums, frames = torch.zeros(2, 1, len(groups), self.dim, dtype=torch.float64), 0
        for part in self._windows(wav[None]):
            states, count = all_states(self.network, self._inputs(part)), self.reads.num_frames(part.shape[1])
            check_hidden_states(states[-1], count, self.dim, f"{KEY}: {self.folder}")
            sums, frames = sums + layer_sums(states, groups).cpu(), frames + count
        mean, square = sums[:, 0] / frames  # (groups, dim)
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return torch.cat([mean, deviation], dim=1).float()

    def _windows(self, clips: Tensor) -> list[Tensor]:
        """Clips (B, samples) in parts that the network reads at a time. ValueError if they are too short for one."""
        if self.num_frames(clips.shape[1]) < 1:
            raise ValueError(f"{clips.shape[1]} samples are shorter than what {self.folder.name} reads for one frame")
        return [part for part in clips.split(self._window, dim=1) if self.reads.num_frames(part.shape[1])]

    def _inputs(self, clips: Tensor) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in self.reads(clips).items()}

    def _states(self, clips: Tensor) -> Tensor:
        return self._mean(self._inputs(clips))

    def _mean(self, inputs: dict[str, Tensor]) -> Tensor:
        return mean_of_layers(self.network, self.count, self.layers, inputs).float()

    def fingerprint(self) -> dict[str, Any]:
        """Digests of the weights and of the configuration, layers, and versions of what computes with them."""
        return {
            "weights": weights_digest(self.folder),
            "configuration": configuration_digest(self.folder),
            "layers": self.layers,
            "versions": self.versions(),
        }

    @staticmethod
    def versions() -> dict[str, str]:
        """Major and minor versions of what computes."""
        return {name: ".".join(importlib.metadata.version(name).split(".")[:2]) for name in ("transformers", "torch")}


def shared_upstream(options: Upstream, device: torch.device) -> UpstreamExtractor:
    """The extractor of a process on a device, for all of its runs, without layers behind the last one wanted."""
    return _shared(options.model_dump_json(), device)


@lru_cache(maxsize=2)
def _shared(options: str, device: torch.device) -> UpstreamExtractor:
    with torch.inference_mode(False):  # gradients may pass later
        return UpstreamExtractor(**Upstream.model_validate_json(options).options()).cut().to(device)
