"""RNNoise from its wheel: it helps, it is aligned, and no clip hears of another."""

import importlib.metadata
import pickle
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from near import WAVE

from trnet.frontend import build_frontend
from trnet.frontend.rnnoise import PACKAGE
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def frontend():
    try:
        importlib.metadata.version(PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"needs pip install --no-deps {PACKAGE}")
    return build_frontend({"frontend": "rnnoise"})


def test_si_sdr_of_noisy_speech_rises(frontend, speech, real_noise, mix, si_sdr):
    gains = []
    for clean, noise in zip(speech, real_noise, strict=True):
        noisy = mix(clean, noise, 5.0)
        gains.append(si_sdr(frontend.enhance(noisy[None])[0], clean) - si_sdr(noisy, clean))
    assert sum(gains) / len(gains) > 2, gains


@pytest.mark.slow
def test_output_is_aligned(frontend, speech, real_noise, mix, lag):
    for clean, noise in zip(speech, real_noise, strict=True):
        noisy = mix(clean, noise, 10.0)
        for samples in (len(noisy), 16001, 15999):
            out = frontend.enhance(noisy[None, :samples])[0]
            assert lag(out, noisy[:samples]) == 0 and lag(out, clean[:samples]) == 0


def test_ends_are_enhanced(frontend, speech, real_noise, mix):
    """A cut clip comes out as the uncut one does, but for what the network hears ahead (20 ms)."""
    noisy = mix(speech[0], real_noise[0], 5.0)[None]
    cut = 12000
    whole, part = frontend.enhance(noisy), frontend.enhance(noisy[:, :cut])
    assert (whole[:, : cut - 500] - part[:, : cut - 500]).abs().max() < 1e-3
    tail = part[0, -160:].square().mean() / whole[0, cut - 160 : cut].square().mean()
    assert 0.1 < tail < 10


def test_no_state_is_carried_and_batch_equals_alone(frontend, speech):
    wav = torch.full((3, 6000), 0.4)
    sizes = [6000, 3333, 6000]
    for row, size in enumerate(sizes):
        wav[row, :size] = speech[row][5000 : 5000 + size]
    out = frontend.enhance(wav, torch.tensor(sizes))
    for row, size in enumerate(sizes):
        alone = frontend.enhance(wav[row : row + 1, :size])[0]
        assert (out[row, :size] - alone).abs().max() < WAVE
        assert not out[row, size:].any()


def test_odd_inputs_come_out_finite(frontend, odd_clips):
    for name, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), name
        assert out.abs().max() < 4, name


def test_identity_names_the_wheel(frontend):
    told = frontend.describe()
    assert told["package"].startswith(f"{PACKAGE} ") and len(told["checkpoint_sha256"]) == 64
    assert told["conf"] == {} and frontend.sample_rate == 16000


def test_can_be_sent_to_a_worker(frontend):
    clip = 0.1 * torch.randn(1, 2000)
    again = pickle.loads(pickle.dumps(frontend))
    assert torch.equal(again.enhance(clip), frontend.enhance(clip))


def test_missing_or_foreign_wheel_is_told_in_one_line(monkeypatch, tmp_path):
    class Foreign:
        def locate_file(self, path):
            return tmp_path / path

    def absent(name):
        raise PackageNotFoundError(name)

    def refusal() -> str:
        with pytest.raises(TrnetError) as caught:
            build_frontend({"frontend": "rnnoise"})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert "pip install -e '.[rnnoise]'" in refusal()
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Foreign())
    assert "librnnoise" in refusal()
    (tmp_path / "pyrnnoise").mkdir()
    for suffix in ("so", "dylib"):
        (tmp_path / f"pyrnnoise/librnnoise.{suffix}").write_bytes(b"of another platform")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    assert "librnnoise" in refusal()
