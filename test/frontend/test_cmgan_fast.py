"""CMGAN's fast path: the numbers of the network as it is written, and a file that can be deleted."""

import copy
import importlib.util
import math
import shutil
import sys

import pytest
import torch
from shared import shared

import trnet.frontend.cmgan
from trnet.errors import TrnetError
from trnet.frontend import build_frontend
from trnet.frontend.cmgan import CmganFrontEnd, TscNet, fast
from trnet.frontend.cmgan import frontend as module
from trnet.frontend.cmgan.conformer import RelativeAttention


def build(seed=0, **conf):
    """A front-end whose every norm, bias and statistic is off its default, the same weights at every call."""
    torch.manual_seed(seed)
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": {"init": "random", **conf}})
    for parameter in frontend.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    for part in frontend.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return frontend


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def network(channels=8) -> TscNet:
    return build(num_channel=channels).network


needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


@pytest.fixture(scope="module", autouse=True)
def compiled_anew(tmp_path_factory):
    """Nothing of the user's own: neither what was compiled before, nor another compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CXX", raising=False)
        yield


@pytest.fixture
def cores():
    """Set the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("which", ["", "2"])
def test_waveform_is_the_references(tmp_path, which):
    """The authors' own code's output, through the fast path."""
    reference = torch.load(shared("parity", "cmgan_small.pt"), weights_only=True)
    torch.save(reference["state_dict"], tmp_path / "ckpt")
    conf = {"checkpoint": str(tmp_path / "ckpt"), "num_channel": 16}
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": conf})
    assert frontend.fast
    out = frontend.enhance(reference[f"input{which}"][None])[0]
    assert (out - reference[f"output{which}"]).abs().max() < 1e-5


@pytest.mark.parametrize(("channels", "clips", "samples"), [(64, 1, 2500), (8, 2, 3999), (4, 1, 300), (4, 3, 101)])
def test_fast_is_plain(channels, clips, samples):
    """One clip and several, whole hops and not, as short as there is."""
    wav = noise(clips, samples)
    plain = build(num_channel=channels, fast=False).enhance(wav)
    got = build(num_channel=channels).enhance(wav)
    assert (got - plain).abs().max() < 1e-5 < 1e-2 < (plain - wav).abs().max()
    assert torch.is_inference(got) is False


@pytest.mark.parametrize("loud", [1, 30])
@pytest.mark.parametrize("steps", [1, 65, 600])
def test_attention_in_blocks_is_attention(steps, loud):
    """Past the farthest position that has an embedding of its own, too; and where scores would overflow as they are."""
    conformer = network(16).TSCB_2.time_conformer
    layer, quick = conformer.attn.fn, fast._Conformer(conformer)
    q, k, v = torch.randn(3, 2, 4, steps, 4).unbind(0)
    q *= loud
    assert steps == 1 or ((q @ k.transpose(2, 3)).abs().max() * 4**-0.5 > 128) == (loud > 1)
    wanted = layer.attend(q, k, v).flatten(0, 1)
    got = fast.attend_in_blocks(
        *(t.flatten(0, 1) for t in (q * 4**-0.5 * math.log2(math.e), k, v)), quick.positions(steps)
    )
    assert (got - wanted).abs().max() < 1e-5 * loud


LANES = [pytest.param(lanes, marks=needs_compiler) for lanes in (4, 8, 16)]


@pytest.fixture(params=["PyTorch", *LANES])
def attention(request, monkeypatch):
    """Attention as it is without a compiler, and by ``attention.cpp`` for registers of every width."""
    monkeypatch.setenv("CXX", "" if request.param == "PyTorch" else f"c++ -DTRNET_LANES={request.param}")
    assert (fast.load(fast.ATTENTION) is None) == (request.param == "PyTorch")


@pytest.mark.parametrize("loud", [1, 30])
@pytest.mark.parametrize("steps", [1, 2, 5, 6, 7, 33, 113, 600])
def test_attention_is_attention(attention, steps, loud):
    """All sizes of what is left of a block; 600 steps are past the farthest position with an embedding of its own."""
    torch.manual_seed(0)
    conformer = network(64).TSCB_2.time_conformer
    layer, quick = conformer.attn.fn, fast._Conformer(conformer)
    q, k, v = torch.randn(3, 3, 4, steps, 16).unbind(0)
    q *= loud
    wanted = copy.deepcopy(layer).double().attend(q.double(), k.double(), v.double())
    qkv = torch.stack([q * 16**-0.5 * math.log2(math.e), k, v]).permute(1, 3, 0, 2, 4).contiguous()
    got = fast.attend(qkv, quick.positions(steps)).transpose(1, 2)
    assert (got - wanted).abs().max() < 1e-5 * loud


def test_attention_of_what_is_not_finite_is_not_finite(attention):
    conformer = fast._Conformer(network(64).TSCB_2.time_conformer)
    for kind in range(3):
        for value in (math.nan, math.inf):
            qkv = torch.randn(2, 20, 3, 4, 16)
            qkv[1, 4, kind, 2, 7] = value
            said = fast.attend(qkv, conformer.positions(20))
            assert not said[1, 4, 2].isfinite().all(), (kind, value)
            assert said[0].isfinite().all() and said[1, :, [0, 1, 3]].isfinite().all()


@needs_compiler
def test_compiled_and_not_enhance_alike(monkeypatch):
    """Also past the farthest position with an embedding of its own."""
    wav, frontend = noise(1, 100 * 530), build(num_channel=64)
    compiled = frontend.enhance(wav)
    monkeypatch.setenv("CXX", "")
    assert (frontend.enhance(wav) - compiled).abs().max() < 1e-6


def test_a_gpu_without_the_memory_gets_half(monkeypatch):
    frontend, wav = build(num_channel=4), noise(7, 1000)
    wanted, whole, seen = frontend.enhance(wav), CmganFrontEnd._pass, []

    def scarce(self, clips):
        seen.append(len(clips))
        if len(clips) > 2:
            raise torch.OutOfMemoryError
        return whole(self, clips)

    monkeypatch.setattr(CmganFrontEnd, "_pass", scarce)
    assert (frontend.enhance(wav) - wanted).abs().max() < 1e-6 and seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr(CmganFrontEnd, "_pass", lambda self, clips: scarce(self, torch.cat([clips] * 3)))
    with pytest.raises(torch.OutOfMemoryError):
        frontend.enhance(wav)


@needs_compiler
def test_a_table_that_is_too_short_is_refused():
    table = fast._Conformer(network(64).TSCB_2.time_conformer).positions(40)[:, :-90].contiguous()
    with pytest.raises(ValueError, match="distances is too short for 40 steps"):
        fast.attend(torch.randn(1, 40, 3, 4, 16), table)


@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (207, 500, 3, 999), (2**30,) * 4])
def test_blocks_of_any_size_say_the_same(monkeypatch, limits):
    spec = torch.randn(1, 3, 5, 201)
    net = network(4)
    with torch.no_grad():
        wanted = net(spec)
    for name, limit in zip(("TOKENS", "CONV_TOKENS", "ROWS", "SCORES"), limits, strict=True):
        monkeypatch.setattr(fast, name, limit)
    for got, want in zip(fast.forward(net, spec), wanted, strict=True):
        assert (got - want).abs().max() < 1e-4


@pytest.mark.parametrize("channels", [4, 64])
def test_cores_change_no_bit_and_are_given_back(cores, channels):
    spec, net = torch.randn(1, 3, 20, 201), network(channels)
    said = []
    for count in (1, 2, 3):
        cores(count)
        said.append(torch.stack(fast.forward(net, spec)))
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
    assert joined.count == 1000 and torch.allclose(joined.mean, x.double().mean(dim=0), rtol=1e-6)
    assert torch.allclose(joined.squares / 1000, x.double().var(dim=0, correction=0), rtol=1e-4)


def test_weights_that_change_are_heard():
    frontend, wav = build(num_channel=4), noise(1, 1000)
    before = frontend.enhance(wav)
    with torch.no_grad():
        frontend.network.complex_decoder.conv.bias += 1
    assert not torch.allclose(frontend.enhance(wav), before, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 40, 600])
def test_fused_attention_is_attention(monkeypatch, steps):
    torch.manual_seed(0)
    layer = RelativeAttention(16).requires_grad_(False)
    q, k, v = torch.randn(3, 3, 4, steps, 4).unbind(0)
    wanted = layer.attend(q, k, v)
    for rows, scores in ((256, 2**27), (7, 1), (64, 2**18)):
        monkeypatch.setattr(fast, "FUSED_ROWS", rows)
        monkeypatch.setattr(fast, "FUSED_SCORES", scores)
        assert (fast.fused_attend(layer.rel_pos_emb.weight, q, k, v) - wanted).abs().max() < 1e-5


def test_the_network_attends_fused_and_then_as_before():
    """What a GPU runs, on the CPU."""
    net, spec = network(), torch.randn(2, 3, 30, 201)
    with torch.no_grad():
        wanted = net(spec)
        with fast.fused_attention(net):
            got = net(spec)
        assert torch.equal(net(spec)[0], wanted[0])
    assert (got[0] - wanted[0]).abs().max() < 1e-4 and not torch.equal(got[0], wanted[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("tf32", 1e-2), ("bf16", 1e-1)])
def test_on_a_gpu(precision, error):
    wav = noise(5, 8000)
    wanted = build(num_channel=16).enhance(wav)
    for gpu_seconds in (0, 1.5, 160):
        got = build(num_channel=16, precision=precision, gpu_seconds=gpu_seconds).cuda().enhance(wav.cuda())
        assert (got.cpu() - wanted).abs().max() < error


def test_bf16_is_near_and_tf32_on_a_cpu_is_float32():
    wav = noise(1, 3000)
    wanted = build(num_channel=16).enhance(wav)
    assert torch.equal(build(num_channel=16, precision="tf32").enhance(wav), wanted)
    got = build(num_channel=16, precision="bf16").enhance(wav)
    snr = 10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum())
    assert 15 < snr < 60, snr


def test_without_its_file_the_network_itself_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "trnet.frontend.cmgan.fast", None)  # an import of it fails
    monkeypatch.delattr(trnet.frontend.cmgan, "fast")
    path = importlib.util.spec_from_file_location("frontend_without_fast", module.__file__)
    without = importlib.util.module_from_spec(path)
    path.loader.exec_module(without)
    frontend, wav = without.CmganFrontEnd(init="random", num_channel=4), noise(1, 2000)
    assert not frontend.fast and frontend.conf["fast"]
    frontend.load_state_dict(build(num_channel=4).state_dict())
    plain, quick = (build(num_channel=4, fast=which).enhance(wav) for which in (False, True))
    assert torch.equal(frontend.enhance(wav), plain) and not torch.equal(plain, quick)


@pytest.mark.parametrize("conf", [{"fast": 1}, {"precision": "fp16"}, {"precision": None}, {"gpu_seconds": "all"}])
def test_options_out_of_range(conf):
    with pytest.raises(TrnetError, match=f"frontend_conf.{next(iter(conf))} is "):
        build(num_channel=4, **conf)
