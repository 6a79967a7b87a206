"""What the networks that trnet can train share: sizes, checkpoints, training, and clips of any kind."""

import pytest
import torch
from near import WAVE

from trnet.frontend import build_frontend
from trnet.frontend.dccrn import Dccrn, DccrnConfig
from trnet.frontend.dpt_fsnet import DptFsnet, DptFsnetConfig
from trnet.utils.errors import TrnetError

NETWORKS = {"dccrn": (Dccrn, DccrnConfig), "dpt_fsnet": (DptFsnet, DptFsnetConfig)}
SMALL = {
    "dccrn": {"architecture": "mini", "n_fft": 64, "window": 64, "hop": 32},
    "dpt_fsnet": {"n_fft": 64, "hop": 32, "channels": 8, "depth": 2, "blocks": 1, "heads": 2},
}


@pytest.fixture(params=sorted(NETWORKS))
def name(request):
    return request.param


@pytest.fixture
def network(name):
    torch.manual_seed(0)
    make, sizes = NETWORKS[name]
    return make(sizes(**SMALL[name]))


@pytest.fixture
def content(name, network):
    return {
        "format": "trnet-enh-1",
        "frontend": name,
        "conf": network.config.plain(),
        "state_dict": network.state_dict(),
    }


@pytest.fixture
def frontend(name):
    torch.manual_seed(0)
    return build_frontend({"frontend": name, "frontend_conf": {"init": "random", **SMALL[name]}})


def load(name, path, **options):
    return build_frontend({"frontend": name, "frontend_conf": {"checkpoint": str(path), **options}})


def refusal(name, path, **options) -> str:
    with pytest.raises(TrnetError) as caught:
        load(name, path, **options)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def pair(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A chirping tone and the same in noise, each (1, samples)."""
    time = torch.arange(samples) / 16000
    clean = 0.3 * torch.sin(2 * torch.pi * (300 * time + 2000 * time.square()))
    return clean[None], (clean + 0.2 * torch.randn(samples, generator=torch.Generator().manual_seed(1)))[None]


def si_snr_loss(estimate: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Negative SI-SNR in dB."""
    estimate, clean = (x - x.mean(dim=1, keepdim=True) for x in (estimate, clean))
    target = (estimate * clean).sum() / clean.square().sum() * clean
    return -10 * torch.log10(target.square().sum() / (estimate - target).square().sum())


def test_a_trained_network_comes_back(name, network, content, tmp_path):
    network.train()(pair(2000)[1])  # moves the statistics of batch norms
    torch.save(content, tmp_path / "best.pt")
    loaded = load(name, tmp_path / "best.pt", **SMALL[name])
    assert loaded.network.config == network.config
    wav = pair(3001)[1]
    with torch.no_grad():
        assert torch.equal(loaded.enhance(wav), network.eval()(wav))
    assert len(loaded.describe()["checkpoint_sha256"]) == 64


def test_checkpoints_of_another_format_are_refused(name, content, tmp_path):
    path = tmp_path / "other.pt"
    for other, words in (
        (content["state_dict"], "trnet-enh-1"),
        ([1, 2], "no dict"),
        (content | {"format": "trnet-enh-2"}, "'trnet-enh-2'"),
        (content | {"frontend": "gtcrn"}, "'gtcrn'"),
        (content | {"optimizer": {}}, "unknown optimizer"),
        ({k: v for k, v in content.items() if k != "conf"}, "missing conf"),
        (content | {"conf": [1]}, "'conf'"),
        (content | {"state_dict": {"step": 3}}, "'state_dict'"),
    ):
        torch.save(other, path)
        assert words in refusal(name, path)
    path.write_bytes(b"not a checkpoint")
    refusal(name, path)


def test_sizes_of_a_checkpoint_are_checked(name, content, tmp_path):
    path, conf = tmp_path / "sizes.pt", content["conf"]
    for other, words in (
        ({k: v for k, v in conf.items() if k != "hop"} | {"width": 3}, "missing hop; unknown width"),
        (conf | {"hop": "half"}, "conf.hop: 'half'"),
        (conf | {"hop": 0}, "conf.hop: 0"),
        (conf | {"hop": 17}, "conf.hop: 17"),
        (conf | {"sample_rate": 8000}, "conf.sample_rate: 8000"),
    ):
        torch.save(content | {"conf": other}, path)
        assert words in refusal(name, path)
    torch.save(content, path)
    assert "frontend_conf.hop is 8" in refusal(name, path, hop=8)


def test_weights_that_do_not_fit_are_named(name, content, tmp_path):
    state = dict(content["state_dict"])
    (first, _), (second, tensor), (third, weight) = list(state.items())[:3]
    del state[first]
    state |= {"head.weight": tensor, second: tensor[:0], third: torch.full_like(weight, float("nan"))}
    torch.save(content | {"state_dict": state}, tmp_path / "bent.pt")
    message = refusal(name, tmp_path / "bent.pt")
    for words in (f"missing {first}", "extra head.weight", f"misshapen {second}", f"not finite {third}"):
        assert words in message


def test_options_out_of_range(name):
    for options in ({"hop": 0}, {"hop": 1.5}, {"hop": 17}, {"n_fft": True}, {"level_dbfs": 3}):
        with pytest.raises(TrnetError, match=next(iter(options))) as caught:
            build_frontend({"frontend": name, "frontend_conf": {"init": "random", **options}})
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(TrnetError, match="no weights"):
        build_frontend({"frontend": name})


def test_odd_inputs_come_out_finite_and_of_their_length(frontend, odd_clips):
    for kind, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), kind
    assert not frontend.enhance(odd_clips["silence"][None]).any()
    for kind in ("dc", "20 ms", "clipped", "one sample", "faint"):
        assert frontend.enhance(odd_clips[kind][None]).any(), kind


def test_batch_equals_alone(frontend):
    sizes = [3000, 1777, 3000, 90]
    wav = torch.full((4, 3000), 0.7)
    for row, size in enumerate(sizes):
        wav[row, :size] = pair(4000)[1][0, 100 * row : 100 * row + size]
    out = frontend.enhance(wav, torch.tensor(sizes))
    for row, size in enumerate(sizes):
        assert (out[row, :size] - frontend.enhance(wav[row : row + 1, :size])[0]).abs().max() < WAVE
        assert not out[row, size:].any()


def test_works_in_inference_mode_and_twice_the_same(name, frontend):
    wav = pair(4000)[1]
    with torch.inference_mode():
        first = frontend.enhance(wav)
        assert torch.equal(frontend.enhance(wav), first)
    torch.manual_seed(0)
    again = build_frontend({"frontend": name, "frontend_conf": {"init": "random", **SMALL[name]}})
    assert torch.equal(again.enhance(wav), first)
    assert again.fingerprint() == frontend.fingerprint()


def test_level_option_makes_the_output_follow_the_gain(name):
    conf = {"init": "random", "level_dbfs": -25.0, **SMALL[name]}
    frontend, wav = build_frontend({"frontend": name, "frontend_conf": conf}), pair(4000)[1]
    assert (frontend.enhance(0.03 * wav) / 0.03 - frontend.enhance(wav)).abs().max() < WAVE


def test_gradients_reach_every_parameter(network):
    clean, noisy = pair(3000)
    si_snr_loss(network.train()(torch.cat([noisy, noisy.flip(1)]))[:1], clean).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), key
        assert parameter.grad.any(), key


def test_training_lowers_the_loss(network):
    """By 3 dB, from where the network happens to start: of 10 draws of weights each, the least was 10 dB."""
    clean, noisy = pair(1600)
    optimizer = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        loss = si_snr_loss(network(noisy), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 3, losses
