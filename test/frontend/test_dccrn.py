"""DCCRN: equal to asteroid's, from asteroid's files, aligned to the sample."""

import pytest
import torch
from near import WAVE, assert_near
from shared import shared

from trnet.frontend import build_frontend
from trnet.frontend.dccrn import ARCHITECTURES, Dccrn, DccrnConfig
from trnet.frontend.dccrn.network import bounded
from trnet.utils.errors import TrnetError

ARGS = {
    "architecture": "DCCRN-CL-div4",
    "stft_n_filters": 512,
    "stft_kernel_size": 400,
    "stft_stride": 100,
    "sample_rate": 16000.0,
    "n_freqs": 256,
    "n_src": 1,
}
MINI = ARGS | {
    "architecture": "mini",
    "stft_n_filters": 64,
    "stft_kernel_size": 64,
    "stft_stride": 16,
    "n_freqs": 32,
}


@pytest.fixture(scope="module")
def reference():
    return torch.load(shared("parity", "dccrn_cl_small.pt"), weights_only=True)


@pytest.fixture
def mini():
    """The content of a small checkpoint of asteroid's."""
    torch.manual_seed(0)
    network = Dccrn(DccrnConfig(architecture="mini", n_fft=64, window=64, hop=16))
    return {"model_name": "DCCRNet", "state_dict": network.state_dict(), "model_args": MINI, "infos": {"task": "x"}}


def load(path):
    return build_frontend({"frontend": "dccrn", "frontend_conf": {"checkpoint": str(path)}})


def refusal(path, content) -> str:
    torch.save(content, path)
    with pytest.raises(TrnetError) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_size():
    """The paper's 3.7 M."""
    assert sum(p.numel() for p in Dccrn().parameters()) == 3669336


def test_encoders_are_the_references(reference):
    channels = [layer[1] for layer in reference["config"]["encoders"]]
    architecture = ARCHITECTURES["DCCRN-CL-div4"]
    assert list(architecture.channels) == channels and architecture.hidden == reference["config"]["rnn_hidden"]


def test_transform_is_asteroids(reference):
    state, own = reference["state_dict"], Dccrn(DccrnConfig(architecture="DCCRN-CL-div4")).state_dict()
    assert list(own) == list(state)
    for key in ("_filters", "torch_window"):
        for side in ("encoder", "decoder"):
            ours, theirs = (s[f"{side}.filterbank.{key}"] for s in (own, state))
            assert_near(ours, theirs, roundings=10)


def test_every_step_is_the_references(reference, tmp_path):
    content = {"model_name": "DCCRNet", "state_dict": reference["state_dict"], "model_args": ARGS}
    torch.save(content, tmp_path / "best_model.pth")
    frontend, wav = load(tmp_path / "best_model.pth"), reference["input"][None]
    with torch.no_grad():
        spec = frontend.network.analyse(wav)
        mask = frontend.network.masker(reference["spec_in"])
        wave = frontend.network.synthesise(reference["spec_in"] * reference["mask"][:, 0])
    for got, wanted in ((spec, reference["spec_in"]), (mask, reference["mask"][:, 0])):
        assert_near(torch.view_as_real(got), torch.view_as_real(wanted))
    assert (wave - reference["output"]).abs().max() < WAVE
    assert (frontend.enhance(wav) - reference["output"]).abs().max() < WAVE


def test_only_the_end_differs_from_a_longer_clip(reference, tmp_path):
    """What is put behind a clip is heard up to six hops and a window before it."""
    content = {"model_name": "DCCRNet", "state_dict": reference["state_dict"], "model_args": ARGS}
    torch.save(content, tmp_path / "best_model.pth")
    frontend, cut = load(tmp_path / "best_model.pth"), 9050
    out = frontend.enhance(reference["input"][None, :cut])[0]
    assert (out - reference["output"][0, :cut])[: cut - 1100].abs().max() < WAVE
    assert out[-50:].any()


def untouched(network, monkeypatch):
    """Let every frequency through as it is, that at half the sampling rate included."""
    monkeypatch.setattr(network, "analyse", network.encoder.filterbank.analyse)
    monkeypatch.setattr(network, "enhance", lambda spec: spec)
    monkeypatch.setattr(network, "synthesise", network.decoder.filterbank.synthesise)
    return network


@pytest.mark.parametrize("samples", [1, 2, 15, 16, 17, 64, 320, 1601])
def test_the_transforms_give_the_input_back(samples, monkeypatch):
    """Every sample of any length, the first and the last included; without padding all but the ends."""
    wav = torch.rand(2, samples, generator=torch.Generator().manual_seed(1)) - 0.5
    sizes = {"architecture": "mini", "n_fft": 64, "window": 48, "hop": 16}
    padded, faded = (untouched(Dccrn(DccrnConfig(**sizes, pad_ends=p)), monkeypatch)(wav) for p in (True, False))
    assert padded.shape == faded.shape == wav.shape
    assert (padded - wav).abs().max() < WAVE
    assert (faded - wav)[:, 32:-48].abs().sum() < 1e-3 and (faded - wav)[:, 0].abs().min() > 0


def test_bounds():
    mask = torch.tensor([3 - 4j, 1e-3j, 0, -0.2])

    def bound(kind):
        return torch.complex(*bounded(mask.real, mask.imag, kind))

    assert torch.allclose(bound("tanh").abs(), mask.abs().tanh(), atol=2e-4)
    assert torch.allclose(bound("tanh")[:2].angle(), mask[:2].angle())
    assert torch.allclose(bound("none"), mask, atol=2e-4)
    assert torch.allclose(bound("sigmoid").real, mask.real.sigmoid())
    mask.requires_grad_()
    bound("tanh").abs().sum().backward()
    assert bool(mask.grad.isfinite().all())


def test_files_of_asteroid(mini, tmp_path):
    path = tmp_path / "best_model.pth"
    torch.save(mini, path)
    sizes = {"n_fft": 64, "window": 64, "hop": 16}
    assert load(path).network.config == DccrnConfig(architecture="mini", mask_bound="tanh", pad_ends=False, **sizes)
    torch.save(mini | {"model_args": MINI | {"mask_bound": None, "sample_rate": 16000}}, path)
    assert load(path).network.config.mask_bound == "none"
    early = {k: v for k, v in mini["state_dict"].items() if not k.endswith("torch_window")}
    torch.save(mini | {"state_dict": early}, path)
    assert load(path).network.encoder.filterbank.torch_window.shape == (64,)


def test_other_files_of_asteroid_are_refused(mini, tmp_path):
    path = tmp_path / "best_model.pth"
    assert "'ConvTasNet'" in refusal(path, mini | {"model_name": "ConvTasNet"})
    assert "'model_args'" in refusal(path, {k: v for k, v in mini.items() if k != "model_args"})
    for args, words in (
        ({"sample_rate": 8000.0}, ("sample_rate", "8000", "16000")),
        ({"architecture": "DCCRN-C"}, ("architecture", "'DCCRN-C'", "DCCRN-CL")),
        ({"n_src": 2}, ("n_src", "2")),
        ({"n_freqs": 256}, ("n_freqs", "256")),
        ({"mask_bound": "relu"}, ("mask_bound", "'relu'")),
        ({"stft_stride": None}, ("hop", "None")),
        ({"norm_type": "gLN"}, ("unknown", "norm_type")),
    ):
        message = refusal(path, mini | {"model_args": MINI | args})
        assert [word for word in words if word not in message] == [], message
    without = {k: v for k, v in MINI.items() if k != "sample_rate"}
    assert "missing sample_rate" in refusal(path, mini | {"model_args": without})
    key = "masker.encoders.0.conv.re_module.weight"
    bent = {k: v for k, v in mini["state_dict"].items() if k != key}
    assert f"missing {key}" in refusal(path, mini | {"state_dict": bent})
