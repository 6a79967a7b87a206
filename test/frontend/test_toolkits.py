"""Models of Asteroid, SpeechBrain and ESPnet: their own objects where installed, stand-ins of the same calls elsewhere.

A stand-in network is one weight that its input is multiplied by, so that what comes out is known.
"""

import argparse
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from near import WAVE
from torch import nn

from trnet.frontend import build_frontend, pretrained
from trnet.frontend.native_rate import fitted
from trnet.utils.errors import TrnetError

GAIN = -0.5
TOOLKITS = ("asteroid", "speechbrain", "espnet")


class Network(nn.Module):
    """What stands in for a network of any of the three."""

    def __init__(self, rate: int | None, sources: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(GAIN))
        self.sources = sources
        self.sample_rate = rate  # Asteroid's
        self.hparams = SimpleNamespace(**({"sample_rate": rate} if rate else {}))  # SpeechBrain's
        self.seen: list[int] = []

    def forward_wav(self, wav):  # Asteroid: (1, samples) to (1, sources, samples)
        self.seen.append(wav.shape[-1])
        return (self.gain * wav)[:, None].expand(-1, self.sources, -1)

    def separate_batch(self, mix):  # SpeechBrain, SepformerSeparation: to (1, samples, sources)
        return self.forward_wav(mix.to(self.device)).transpose(1, 2)

    def enhance_batch(self, noisy, lengths=None):  # SpeechBrain, the others: to (1, samples)
        assert lengths.tolist() == [1.0]
        return self.forward_wav(noisy.to(self.device))[:, 0]


def stand_in(monkeypatch, rate: int | None = 16000, sources: int = 1) -> None:
    """Put stand-ins of the three packages in place."""

    def module(name: str, **content) -> None:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        vars(sys.modules[name]).update(content)

    def network(model: str) -> Network:
        if model == "no/such-model":
            raise OSError("401 Client\nError")
        return Network(rate, sources)

    class BaseModel:
        from_pretrained = staticmethod(network)

    class Interface:
        @staticmethod
        def from_hparams(source, run_opts):
            assert run_opts == {"device": "cpu"}
            made, weights = network(source), Path(source, "model.pth")
            parts = {"gate": made} if weights.exists() else {}
            made.hparams.pretrainer = SimpleNamespace(loadables=parts, paths={"gate": weights})
            return made

    class SeparateSpeech:
        def __init__(self, train_config=None, model_file=None):
            assert model_file is None
            with open(train_config) as stream:
                assert yaml.safe_load(stream) == {"separator": "rnn"}
            self.enh_model = Network(None, sources)

        def __call__(self, speech_mix, fs=8000):  # to a list of (1, samples)
            assert fs == (rate or 8000) and self.device == "cpu"
            return [wave.numpy() for wave in self.enh_model.forward_wav(speech_mix).unbind(dim=1)]

    class ModelDownloader:
        def download_and_unpack(self, tag):
            network(tag)
            return {"train_config": tag + "/config.yaml", "model_file": tag + "/model.pth"}

    module("asteroid.models", BaseModel=BaseModel)
    interfaces = ("SepformerSeparation", "SpectralMaskEnhancement", "WaveformEnhancement")
    module("speechbrain.utils.checkpoints", torch_patched_state_dict_load=torch.load)
    module("speechbrain.inference", **dict.fromkeys(interfaces, Interface))
    module("espnet2.bin.enh_inference", SeparateSpeech=SeparateSpeech)
    module("espnet_model_zoo.downloader", ModelDownloader=ModelDownloader)
    monkeypatch.setattr(pretrained, "package_version", lambda package: f"{package} 1.2.3")


@pytest.fixture
def model(tmp_path):
    """A folder with a checkpoint and a configuration: each stand-in takes what it needs."""
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save({"gain": torch.tensor(GAIN)}, folder / "model.pth")
    (folder / "config.yaml").write_text("separator: rnn\n")
    return folder


def build(toolkit: str, model, **conf):
    """A front-end of a toolkit; ESPnet's needs the checkpoint's path and the rate."""
    if toolkit == "espnet":
        conf = {"native_rate": 16000, **conf}
        model = model / "model.pth" if not isinstance(model, str) else model
    return build_frontend({"frontend": toolkit, "frontend_conf": {"model": str(model), **conf}})


def noise(*shape: int) -> torch.Tensor:
    """White noise of RMS 0.1, the same at every call."""
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("toolkit", "conf"),
    [
        ("asteroid", {}),
        ("speechbrain", {"interface": "SepformerSeparation"}),
        ("speechbrain", {"interface": "SpectralMaskEnhancement"}),
        ("speechbrain", {"interface": "WaveformEnhancement"}),
        ("espnet", {}),
    ],
)
def test_each_toolkit_is_called_as_it_documents(monkeypatch, model, toolkit, conf):
    stand_in(monkeypatch)
    wav, lengths = noise(3, 4000), torch.tensor([4000, 2500, 1])
    plain = build(toolkit, model, fit_scale=False, **conf)
    fit = build(toolkit, model, **conf)
    for frontend, gain in ((plain, GAIN), (fit, 1.0)):
        out = frontend.enhance(wav, lengths)
        for row, size in enumerate(lengths.tolist()):
            assert torch.allclose(out[row, :size], gain * wav[row, :size], rtol=0, atol=WAVE)
            assert not out[row, size:].any()
    assert frontend.package == f"{toolkit} 1.2.3" and not any(p.requires_grad for p in frontend.parameters())
    assert min(frontend.network.seen) == 1600  # the clip of one sample


@pytest.mark.parametrize("toolkit", ["asteroid", "speechbrain"])
def test_the_rate_is_the_models_and_the_output_aligned(monkeypatch, model, lag, toolkit):
    for rate in (8000, 24000, 44100):
        stand_in(monkeypatch, rate)
        frontend = build(toolkit, model, fit_scale=False)
        wav = noise(1, 5001)
        out = frontend.enhance(wav)
        assert frontend.native_rate == rate and frontend.network.seen == [-(-5001 * rate // 16000)]
        assert out.shape == wav.shape and lag(GAIN * out[0], wav[0]) == 0
        spec, wanted = torch.fft.rfft(out[0]), torch.fft.rfft(GAIN * wav[0])
        band = slice(0, 1100)  # below 3.5 kHz
        assert (spec - wanted)[band].norm() < 0.03 * wanted[band].norm()


def test_espnet_is_told_the_rate_and_the_others_may_be(monkeypatch, model):
    stand_in(monkeypatch, 24000)
    assert build("espnet", model, native_rate=24000).enhance(noise(1, 800)).any()
    stand_in(monkeypatch, None)
    assert build("asteroid", model, native_rate=8000).native_rate == 8000
    for toolkit in TOOLKITS:
        with pytest.raises(TrnetError, match="frontend_conf.native_rate"):
            build(toolkit, model, native_rate=None)


def test_silence_is_handed_back(monkeypatch, model):
    stand_in(monkeypatch)
    frontend = build("asteroid", model)
    frontend.network.gain.fill_(float("nan"))
    assert not frontend.enhance(torch.zeros(1, 500)).any()


def test_the_scale_that_fits_best_is_found():
    clean, noisy = noise(2, 900), noise(2, 900) + noise(1, 1800).reshape(2, 900)
    best = fitted(-3 * clean, noisy)
    error = [(gain * best - noisy).square().sum(dim=1) for gain in (0.99, 1.0, 1.01)]
    assert bool((error[1] < error[0]).all() and (error[1] < error[2]).all())
    assert not fitted(torch.zeros(1, 9), noise(1, 9)).any()


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_model_of_two_sources_is_refused(monkeypatch, model, toolkit):
    stand_in(monkeypatch, sources=2)
    with pytest.raises(TrnetError, match=r"\(2, 4000\)"):
        build(toolkit, model).enhance(noise(1, 4000))


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_local_model_counts_by_its_files_and_a_hub_model_by_its_id(monkeypatch, model, tmp_path, toolkit):
    stand_in(monkeypatch)
    first = build(toolkit, model).fingerprint()
    shutil.copytree(model, tmp_path / "moved")
    assert build(toolkit, tmp_path / "moved").fingerprint() == first
    torch.save({"gain": torch.tensor(2 * GAIN)}, model / "model.pth")
    assert build(toolkit, model).fingerprint() != first
    (tmp_path / "moved/config.yaml").write_text("separator: rnn # changed\n")
    assert build(toolkit, tmp_path / "moved").fingerprint() != first
    if toolkit != "espnet":
        assert "some/model" in json.dumps(build(toolkit, "some/model").fingerprint())


def test_espnet_takes_a_tag_of_the_zoo(monkeypatch, model):
    stand_in(monkeypatch)
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    frontend = build_frontend({"frontend": "espnet", "frontend_conf": {"model": "model", "native_rate": 16000}})
    assert frontend.enhance(noise(1, 900)).any() and frontend.fingerprint()["conf"]["model"] == "model"


@pytest.mark.parametrize("toolkit", ["espnet", "speechbrain"])
def test_weights_have_to_fit_where_the_toolkit_would_take_any(monkeypatch, model, toolkit):
    stand_in(monkeypatch)
    torch.save({"more": torch.ones(1)}, model / "model.pth")
    with pytest.raises(TrnetError, match="missing gain; extra more"):
        build(toolkit, model)


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_model_that_does_not_load_is_one_line(monkeypatch, toolkit):
    stand_in(monkeypatch)
    with pytest.raises(TrnetError) as caught:
        build(toolkit, "no/such-model")
    message = str(caught.value)
    assert "\n" not in message and "'no/such-model'" in message and "(OSError: 401 Client Error)" in message


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_missing_package_is_one_line(monkeypatch, model, toolkit):
    def fail(name, *args):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(TrnetError) as caught:
        build(toolkit, model)
    message = str(caught.value)
    assert "\n" not in message and f"pip install -e '.[{toolkit}]'" in message


def test_an_unknown_interface_is_named(model):
    with pytest.raises(TrnetError, match="'Sepformer'.*SepformerSeparation"):
        build("speechbrain", model, interface="Sepformer")


def test_a_real_model_of_asteroid(tmp_path):
    models = pytest.importorskip("asteroid.models", reason="needs pip install -e '.[asteroid]'")
    torch.manual_seed(0)
    sizes = {"n_filters": 16, "kernel_size": 16, "stride": 8, "n_blocks": 1, "n_repeats": 1}
    network = models.ConvTasNet(1, sample_rate=16000, bn_chan=8, hid_chan=8, skip_chan=8, **sizes).eval()
    content = network.serialize()
    content["infos"]["final_results"] = {"si_sdr": np.float64(12.5)}
    torch.save(content, tmp_path / "model.pth")
    frontend = build("asteroid", tmp_path / "model.pth", fit_scale=False)
    wav = noise(2, 4001)
    out = frontend.enhance(wav, torch.tensor([4001, 3000]))
    with torch.no_grad():
        assert torch.allclose(out[0], network(wav[:1])[0, 0], rtol=0, atol=WAVE)
        assert torch.allclose(out[1, :3000], network(wav[1:, :3000])[0, 0], rtol=0, atol=WAVE)
    assert frontend.native_rate == 16000 and out.any()
    content["infos"]["code"] = argparse.Namespace()
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(TrnetError, match="UnpicklingError"):
        build("asteroid", tmp_path / "model.pth")


SPEECHBRAIN = {
    "SepformerSeparation": """
encoder: !new:speechbrain.lobes.models.dual_path.Encoder {kernel_size: 16, out_channels: 16}
block: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock {num_layers: 1, d_model: 16, nhead: 2, d_ffn: 16}
masknet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
    {num_spks: 1, in_channels: 16, out_channels: 16, num_layers: 1, K: 50, intra_model: !ref <block>,
     inter_model: !ref <block>}
decoder: !new:speechbrain.lobes.models.dual_path.Decoder
    {in_channels: 16, out_channels: 1, kernel_size: 16, stride: 8, bias: False}
modules: {encoder: !ref <encoder>, masknet: !ref <masknet>, decoder: !ref <decoder>}
num_spks: 1
""",
    "SpectralMaskEnhancement": """
compute_stft: !new:speechbrain.processing.features.STFT {sample_rate: 16000, n_fft: 512, win_length: 32, hop_length: 16}
istft: !new:speechbrain.processing.features.ISTFT {sample_rate: 16000, n_fft: 512, win_length: 32, hop_length: 16}
spectral_magnitude: !name:speechbrain.processing.features.spectral_magnitude {power: 0.5}
resynth: !name:speechbrain.processing.signal_processing.resynthesize {stft: !ref <compute_stft>, istft: !ref <istft>}
enhance_model: !new:speechbrain.lobes.models.MetricGAN.EnhancementGenerator {num_layers: 1}
modules: {enhance_model: !ref <enhance_model>}
""",
}


@pytest.mark.parametrize("interface", SPEECHBRAIN)
def test_a_real_model_of_speechbrain(tmp_path, lag, interface):
    inference = pytest.importorskip("speechbrain.inference", reason="needs pip install -e '.[speechbrain]'")
    from hyperpyyaml import load_hyperpyyaml

    text = f"sample_rate: 16000\n{SPEECHBRAIN[interface]}"
    text += "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer {loadables: !ref <modules>}\n"
    (tmp_path / "hyperparams.yaml").write_text(text)
    torch.manual_seed(0)
    for name, module in load_hyperpyyaml(text)["modules"].items():
        torch.save(module.state_dict(), tmp_path / f"{name}.ckpt")
    frontend = build("speechbrain", tmp_path, interface=interface, fit_scale=False)
    network = getattr(inference, interface).from_hparams(source=str(tmp_path), run_opts={"device": "cpu"})
    wav = noise(2, 4001)
    out = frontend.enhance(wav, torch.tensor([4001, 3000]))
    for row, size in enumerate((4001, 3000)):
        clip = wav[row : row + 1, :size]
        if interface == "SepformerSeparation":
            wanted = network.separate_batch(clip)[0, :, 0]
        else:
            wanted = network.enhance_batch(clip, lengths=torch.ones(1))[0]
        assert torch.allclose(out[row, :size], wanted, rtol=0, atol=WAVE)
    assert frontend.native_rate == 16000 and out.any()
    if interface == "SpectralMaskEnhancement":
        assert lag(out[0], wav[0]) == 0
    state = torch.load(tmp_path / f"{name}.ckpt")
    torch.save(dict(list(state.items())[1:]), tmp_path / f"{name}.ckpt")
    with pytest.raises(TrnetError, match=f"missing {next(iter(state))}"):
        build("speechbrain", tmp_path, interface=interface)


def test_a_real_model_of_espnet(tmp_path, lag):
    inference = pytest.importorskip("espnet2.bin.enh_inference", reason="needs pip install -e '.[espnet]'")
    from espnet2.tasks.enh import EnhancementTask

    stft = {"n_fft": 256, "hop_length": 64}
    conf = {
        "encoder": "stft",
        "encoder_conf": stft,
        "separator": "rnn",
        "separator_conf": {"rnn_type": "lstm", "num_spk": 1, "layer": 1, "unit": 8, "nonlinear": "relu"},
        "decoder": "stft",
        "decoder_conf": stft,
        "mask_module": "multi_mask",
        "mask_module_conf": {},
        "model_conf": {"loss_type": "mask_mse"},
        "criterions": [
            {
                "name": "mse",
                "conf": {"compute_on_mask": True, "mask_type": "PSM"},
                "wrapper": "fixed_order",
                "wrapper_conf": {"weight": 1.0},
            }
        ],
        "init": None,
        "use_preprocessor": False,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    torch.manual_seed(0)
    torch.save(EnhancementTask.build_model(argparse.Namespace(**conf)).state_dict(), tmp_path / "model.pth")
    frontend = build("espnet", tmp_path, fit_scale=False)
    separate = inference.SeparateSpeech(str(tmp_path / "config.yaml"), str(tmp_path / "model.pth"))
    wav = noise(2, 4001)
    out = frontend.enhance(wav, torch.tensor([4001, 3000]))
    for row, size in enumerate((4001, 3000)):
        wanted = torch.as_tensor(separate(wav[row : row + 1, :size], fs=16000)[0])[0]
        assert torch.allclose(out[row, :size], wanted, rtol=0, atol=WAVE)
    assert out.any() and lag(out[0], wav[0]) == 0
