"""GTCRN: equal to its authors' code, of the input's length, and good for noisy speech."""

import pytest
import torch
from near import WAVE, assert_near
from shared import shared

from trnet.frontend import build_frontend
from trnet.frontend.gtcrn import Gtcrn, erb_bank

pesq = pytest.importorskip("pesq").pesq


def load(training_set: str, **conf):
    path = shared("models", "gtcrn", f"model_trained_on_{training_set}.tar")
    return build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(path), **conf}})


@pytest.fixture(scope="module")
def reference():
    return torch.load(shared("parity", "gtcrn_vctk.pt"), weights_only=True)


@pytest.fixture(scope="module")
def vctk():
    return load("vctk")


@pytest.fixture(scope="module")
def dns3():
    return load("dns3")


def official(frontend, wav):
    """The authors' recipe around the network: mirrored ends, the tail after the last hop lost."""
    spec = torch.stft(wav, 512, 256, window=frontend.window, return_complex=True)
    with torch.no_grad():
        return torch.istft(frontend.network(spec), 512, 256, window=frontend.window)


def test_size():
    assert sum(p.numel() for p in Gtcrn().parameters()) == 48245


def test_erb_matrices_are_the_authors(reference):
    state = reference["state_dict"]
    assert_near(erb_bank(), state["erb.erb_fc.weight"], roundings=100)
    assert_near(erb_bank().T, state["erb.ierb_fc.weight"], roundings=100)


def test_waveform_is_the_references(vctk, reference):
    out = vctk.enhance(reference["input"][None])[0]
    assert out.shape == reference["input"].shape
    assert (out - reference["output"]).abs().max() < WAVE


def test_spectrum_is_the_references(vctk, reference):
    with torch.no_grad():
        out = vctk.network(torch.view_as_complex(reference["spec_in"].contiguous()))
    assert_near(torch.view_as_real(out), reference["spec_out"])


@pytest.mark.parametrize("samples", [257, 320, 8037, 16000, 16249, 31744, 31999])
def test_length_is_kept_and_the_head_is_official(vctk, reference, samples):
    wav = reference["input"][None, :samples]
    out, head = vctk.enhance(wav), official(vctk, wav)
    assert out.shape == wav.shape and samples - head.shape[1] < 256
    assert (out[:, : head.shape[1]] - head).abs().max() < WAVE


def test_the_tail_is_enhanced(dns3, speech, real_noise, mix):
    """The samples the authors' code drops come out as loud as with more of the clip after them."""
    clean = speech[0][: 256 * 120 + 250]
    noisy = mix(clean, real_noise[0], 5.0)
    out = dns3.enhance(noisy[None])[0]
    longer = dns3.enhance(mix(speech[0], real_noise[0], 5.0)[None])[0]
    level = longer[len(clean) - 250 : len(clean)].square().mean()
    assert 0.2 < out[-250:].square().mean() / level < 5


def test_batch_equals_alone(vctk, reference):
    sizes = [9000, 5001, 9000, 320]
    wav = torch.full((4, 9000), 0.7)
    for row, size in enumerate(sizes):
        wav[row, :size] = reference["input"][1000 * row : 1000 * row + size]
    out = vctk.enhance(wav, torch.tensor(sizes))
    for row, size in enumerate(sizes):
        alone = vctk.enhance(wav[row : row + 1, :size])[0]
        assert (out[row, :size] - alone).abs().max() < WAVE
        assert not out[row, size:].any()


@pytest.mark.parametrize("training_set", ["vctk", "dns3"])
def test_odd_inputs_come_out_finite(training_set, odd_clips):
    frontend = load(training_set)
    for name, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), name
        assert out.abs().max() < 4, name
    assert frontend.enhance(odd_clips["silence"][None]).abs().max() < 1e-4


def test_pesq_of_noisy_speech_rises(dns3, speech, real_noise, mix):
    gains = []
    for clean, noise in zip(speech, real_noise, strict=True):
        noisy = mix(clean, noise, 5.0)
        out = dns3.enhance(noisy[None])[0]
        before, after = (pesq(16000, clean.numpy(), w.numpy(), "wb") for w in (noisy, out))
        gains.append(after - before)
    assert min(gains) > 0 and sum(gains) / len(gains) > 0.2, gains


def test_output_is_aligned(dns3, speech, real_noise, mix, lag):
    for clean in speech:
        noisy = mix(clean, real_noise[0], 10.0)
        assert lag(dns3.enhance(noisy[None])[0], noisy) == 0


def test_level_option_makes_the_output_follow_the_gain(speech, real_noise, mix):
    frontend = load("vctk", level_dbfs=-20.0)
    noisy = mix(speech[0], real_noise[0], 5.0)[None]
    loud, soft = frontend.enhance(noisy), frontend.enhance(0.03 * noisy)
    assert (soft / 0.03 - loud).abs().max() < WAVE


def test_untrained_model_on_request():
    torch.manual_seed(0)
    frontend = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}})
    assert frontend.enhance(0.1 * torch.randn(1, 1000)).isfinite().all()
    assert frontend.describe()["checkpoint_sha256"] is None
