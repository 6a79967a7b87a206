"""Real clips, mixing and SI-SDR for the front-end tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import torch
from shared import shared
from torch import Tensor

CLIPS = ("IC0_neutral_13", "KS0_anger_20", "SM0_happiness_40")
NOISES = ("rain", "helicopter", "sea_waves")


@pytest.fixture(scope="session")
def speech() -> list[Tensor]:
    """Three real utterances, each (samples,) float32 at 16 kHz."""
    files = [shared("data", "nemo", "samples", f"{name}.ogg") for name in CLIPS]
    return [torch.from_numpy(soundfile.read(f, dtype="float32")[0]) for f in files]


@pytest.fixture(scope="session")
def real_noise() -> list[Tensor]:
    """Three real noises of 5 s, each (80000,) float32 at 16 kHz."""
    audio = shared("data", "esc10", "audio")
    table = shared("data", "esc10", "meta", "esc50.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in table]
    names = [next(r[0] for r in rows if r[3] == kind) for kind in NOISES]
    return [torch.from_numpy(soundfile.read(audio / n, dtype="float32")[0]) for n in names]


@pytest.fixture(scope="session")
def mix() -> Callable[[Tensor, Tensor, float], Tensor]:
    """mix(speech, noise, snr in dB) -> speech + noise; the noise is repeated as needed."""

    def add(clean: Tensor, noise: Tensor, snr: float) -> Tensor:
        noise = noise.repeat(-(-len(clean) // len(noise)))[: len(clean)]
        gain = (clean.square().sum() / noise.square().sum() / 10 ** (snr / 10)).sqrt()
        return clean + gain * noise

    return add


@pytest.fixture(scope="session")
def si_sdr() -> Callable[[Tensor, Tensor], float]:
    """si_sdr(estimate, clean) in dB."""

    def measure(estimate: Tensor, clean: Tensor) -> float:
        estimate, clean = estimate - estimate.mean(), clean - clean.mean()
        target = (estimate @ clean) / (clean @ clean) * clean
        return float(10 * torch.log10(target.square().sum() / (estimate - target).square().sum()))

    return measure


@pytest.fixture(scope="session")
def lag() -> Callable[[Tensor, Tensor], int]:
    """lag(late, early): samples by which the first trails the second, by cross-correlation."""

    def measure(late: Tensor, early: Tensor) -> int:
        size = 2 * len(late)
        cross = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(early, size).conj(), size)
        at = int(cross.argmax())
        return at if at < size // 2 else at - size

    return measure


@pytest.fixture(scope="session")
def odd_clips() -> dict[str, Tensor]:
    """Inputs off the beaten path, each (samples,) float32."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8000, generator=generator)
    impulse = torch.zeros(4000)
    impulse[2000] = 1.0
    return {
        "silence": torch.zeros(8000),
        "dc": torch.full((8000,), 0.5),
        "20 ms": 0.1 * noise[:320],
        "one sample": torch.tensor([0.3]),
        "two samples": torch.tensor([0.3, -0.2]),
        "one hop": 0.1 * noise[:256],
        "clipped": (5 * noise).clamp(-1, 1),
        "faint": 1e-6 * noise,
        "impulse": impulse,
    }


@pytest.fixture(scope="module")
def compiled_anew(tmp_path_factory):
    """C++ without anything of the user's own: neither what was compiled before, nor another compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CXX", raising=False)
        yield
