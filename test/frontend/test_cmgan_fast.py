"""CMGAN's fast path: the results of the network as it is written."""

from pathlib import Path

import pytest
import torch
from cmgan import build, noise
from near import WAVE, assert_near
from shared import needs_compiler

from trnet.frontend import build_frontend
from trnet.frontend.cmgan import CmganFrontEnd, TscNet, attention, fast
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.usefixtures("compiled_anew")


def network(channels=8) -> TscNet:
    return build(num_channel=channels).network


@pytest.fixture
def cores():
    """Set the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("which", ["", "2"])
def test_waveform_is_the_references(tmp_path, which):
    """The authors' own code's output, through the fast path."""
    reference = torch.load(Path(__file__).parents[1] / "data/cmgan_small.pt", weights_only=True)
    torch.save(reference["state_dict"], tmp_path / "ckpt")
    conf = {"checkpoint": str(tmp_path / "ckpt"), "num_channel": 16}
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": conf})
    assert frontend.fast
    out = frontend.enhance(reference[f"input{which}"][None])[0]
    assert (out - reference[f"output{which}"]).abs().max() < WAVE


@pytest.mark.parametrize(("channels", "clips", "samples"), [(64, 1, 2500), (8, 2, 3999), (4, 1, 300), (4, 3, 101)])
def test_fast_is_plain(channels, clips, samples):
    """One clip and several, whole hops and not, as short as there is."""
    wav = noise(clips, samples)
    plain = build(num_channel=channels, fast=False).enhance(wav)
    got = build(num_channel=channels).enhance(wav)
    assert (got - plain).abs().max() < WAVE < 1e-2 < (plain - wav).abs().max()
    assert torch.is_inference(got) is False


@pytest.mark.slow
@needs_compiler
def test_compiled_and_not_enhance_alike(monkeypatch):
    """Also past the farthest position with an embedding of its own."""
    wav, frontend = noise(1, 100 * 530), build(num_channel=64)
    compiled = frontend.enhance(wav)
    monkeypatch.setenv("CXX", "")
    assert (frontend.enhance(wav) - compiled).abs().max() < WAVE


def test_a_gpu_without_the_memory_gets_half(monkeypatch):
    frontend, wav = build(num_channel=4), noise(7, 1000)
    wanted, whole, seen = frontend.enhance(wav), CmganFrontEnd._pass, []

    def scarce(self, clips):
        seen.append(len(clips))
        if len(clips) > 2:
            raise torch.OutOfMemoryError
        return whole(self, clips)

    monkeypatch.setattr(CmganFrontEnd, "_pass", scarce)
    assert (frontend.enhance(wav) - wanted).abs().max() < WAVE and seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr(CmganFrontEnd, "_pass", lambda self, clips: scarce(self, torch.cat([clips] * 3)))
    with pytest.raises(torch.OutOfMemoryError):
        frontend.enhance(wav)


@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (207, 500, 3, 999), (2**30,) * 4])
def test_blocks_of_any_size_say_the_same(monkeypatch, limits):
    spec = torch.randn(1, 3, 5, 201)
    net = network(4)
    with torch.no_grad():
        wanted = net(spec)
    names = ((fast, "TOKENS"), (fast, "CONV_TOKENS"), (attention, "ROWS"), (attention, "SCORES"))
    for (module_of_it, name), limit in zip(names, limits, strict=True):
        monkeypatch.setattr(module_of_it, name, limit)
    for got, want in zip(fast.fast_forward(net, spec), wanted, strict=True):
        assert_near(got, want)


@pytest.mark.parametrize("channels", [4, 64])
def test_cores_change_no_bit_and_are_given_back(cores, channels):
    spec, net = torch.randn(1, 3, 20, 201), network(channels)
    said = []
    for count in (1, 2, 3):
        cores(count)
        said.append(torch.stack(fast.fast_forward(net, spec)))
        assert torch.get_num_threads() == count
    assert torch.equal(said[0], said[1]) and torch.equal(said[0], said[2])


def test_cores_are_given_back_after_a_failure(cores):
    cores(2)
    with pytest.raises(ZeroDivisionError), fast._cores() as each:
        each(lambda start: 1 // start and None, range(3))
    assert torch.get_num_threads() == 2


def test_statistics_of_parts_are_those_of_the_whole():
    x = torch.randn(1000, 4) + 100 * torch.arange(4)
    joined = fast._Statistics.of(x[:1]) + fast._Statistics.of(x[1:37]) + fast._Statistics.of(x[37:])
    assert joined.count == 1000
    for channel, mean in enumerate(x.double().mean(dim=0)):
        assert_near(joined.mean[channel], mean, roundings=100, of=100.0 * channel + 4)
    # Welford's way: no difference of large squares, 300^2 here, of which the variance 1 would be lost
    assert_near(joined.squares / 1000, x.double().var(dim=0, correction=0))


def test_weights_that_change_are_heard():
    frontend, wav = build(num_channel=4), noise(1, 1000)
    before = frontend.enhance(wav)
    with torch.no_grad():
        frontend.network.complex_decoder.conv.bias += 1
    assert not torch.allclose(frontend.enhance(wav), before, atol=1e-4)


def test_the_network_attends_fused_and_then_as_before(monkeypatch):
    """What a GPU runs, on the CPU."""
    net, spec, calls, whole = network(), torch.randn(2, 3, 30, 201), [], fast.fused_attend
    monkeypatch.setattr(fast, "fused_attend", lambda *args: calls.append(1) or whole(*args))
    with torch.no_grad():
        wanted = net(spec)
        assert not calls
        with fast.fused_attention(net):
            got = net(spec)
        assert len(calls) == 8  # conformers
        assert torch.equal(net(spec)[0], wanted[0]) and len(calls) == 8
    assert_near(got[0], wanted[0])


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("tf32", 1e-2), ("bf16", 1e-1)])
def test_on_a_gpu(precision, error):
    wav = noise(5, 8000)
    wanted = build(num_channel=16).enhance(wav)
    for gpu_seconds in (0, 1.5, 160):
        got = build(num_channel=16, precision=precision, gpu_seconds=gpu_seconds).cuda().enhance(wav.cuda())
        assert (got.cpu() - wanted).abs().max() < error


@pytest.mark.slow
def test_bf16_is_near_and_tf32_on_a_cpu_is_float32():
    wav = noise(1, 3000)
    wanted = build(num_channel=16).enhance(wav)
    assert torch.equal(build(num_channel=16, precision="tf32").enhance(wav), wanted)
    got = build(num_channel=16, precision="bf16").enhance(wav)
    snr = 10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum())
    assert 15 < snr < 60, snr


@pytest.mark.parametrize("conf", [{"fast": 1}, {"precision": "fp16"}, {"precision": None}, {"gpu_seconds": "all"}])
def test_options_out_of_range(conf):
    with pytest.raises(TrnetError, match=next(iter(conf))):
        build(num_channel=4, **conf)
