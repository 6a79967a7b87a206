"""CMGAN's kernels for a GPU: the network's results, in Triton's interpreter and on a GPU; what happens without them."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cmgan import build, noise
from near import assert_near

from trnet.frontend.clips import begin_clips, enhance_clips
from trnet.frontend.cmgan import CmganFrontEnd
from trnet.frontend.cmgan.conformer import FARTHEST, RelativeAttention

NEAR = {"float32": 1e-4, "tf32": 2e-2, "bf16": 1e-1}  # of a waveform's norm
ATTENTION_NEAR = {"float32": 3e-6, "tf32": 3e-3, "bf16": 3e-2}


@pytest.fixture(scope="module")
def interpreted() -> dict[str, float]:
    """Relative differences of what the interpreter computes."""
    pytest.importorskip("triton")
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, root / "test/helpers/interpreted_kernels.py"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "error"), [("float32", 1e-5), ("half", 2e-2), ("along time", 1e-6), ("along bands", 1e-6)]
)
def test_kernels_are_the_network(interpreted, what, error):
    """Sizes that leave blocks part empty, two clips, and distances past the farthest with an embedding of its own."""
    assert 0 < interpreted[what] < error


def test_without_kernels_pytorch_does_their_work_and_one_line_says_so(monkeypatch, caplog):
    frontend, spec = build(num_channel=64), torch.randn(1, 3, 5, 201)

    def broken(self):
        raise ImportError("No module named 'triton'\nand more")

    monkeypatch.setattr(CmganFrontEnd, "_generator", broken)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        assert frontend._by_kernels(spec) is None and frontend._by_kernels(spec) is None
        for got, wanted in zip(frontend._fused(spec), frontend.network(spec), strict=True):
            assert (got - wanted).norm() < 1e-5 * wanted.norm()
    (line,) = caplog.messages
    assert "No module named 'triton'" in line and "and more" not in line


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), RuntimeError("Triton Error [CUDA]: out of memory")])
def test_a_network_of_another_width_and_a_memory_that_is_full(monkeypatch, caplog, error):
    assert build(num_channel=16)._by_kernels(torch.randn(1, 3, 5, 201)) is None and not caplog.messages

    def full(self):
        raise error

    monkeypatch.setattr(CmganFrontEnd, "_generator", full)
    with pytest.raises(torch.OutOfMemoryError):
        build(num_channel=64)._by_kernels(torch.randn(1, 3, 5, 201))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", NEAR)
def test_the_same_on_a_gpu(precision, caplog):
    """Lengths and numbers of clips one after the other, in one window and several, together and one by one."""
    frontend, plain = build(precision=precision).cuda(), build()
    for clips, samples in ((1, 8000), (3, 12345), (2, 300), (1, 80000)):
        wav = noise(clips, samples)
        wanted = plain.enhance(wav)
        for gpu_samples in (0, 10**7):
            frontend.gpu_samples = gpu_samples
            got = frontend.enhance(wav.cuda()).cpu()
            assert (got - wanted).norm() < NEAR[precision] * wanted.norm(), (clips, samples)
    assert not caplog.messages and not frontend._without_kernels


def test_kernels_are_made_anew_after_a_training_whose_optimizer_leaves_no_trace():
    """A fused one does not count the versions of the weights."""
    frontend = build(num_channel=16)
    weights = list(frontend.network.requires_grad_().parameters())
    optimizer = torch.optim.AdamW(weights, lr=0.1, fused=True)
    frontend._kernels = (), lambda spec: None
    sum(weight.sum() for weight in weights).backward()
    optimizer.step()
    frontend.train(False)  # as before every validation
    assert frontend._kernels is None


@pytest.mark.gpu
def test_weights_that_change_are_heard_on_a_gpu():
    frontend, wav = build().cuda(), noise(1, 3000).cuda()
    before = frontend.enhance(wav)
    assert torch.equal(frontend.enhance(wav), before)
    with torch.no_grad():
        frontend.network.complex_decoder.conv.bias += 1
    assert not torch.allclose(frontend.enhance(wav), before, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ATTENTION_NEAR)
@pytest.mark.parametrize("steps", [1, 33, 101, 801, 1200])
def test_attention_on_a_gpu(precision, steps):
    """Past the farthest position with an embedding of its own, too."""
    from trnet.frontend.cmgan import gpu
    from trnet.frontend.cmgan.kernels.attention import attend

    torch.manual_seed(0)
    layer = RelativeAttention(64).requires_grad_(False).double().cuda()
    kind = gpu.KINDS[precision]
    q, k, v = torch.randn(3, 2, 4, steps, 16, device="cuda").unbind(0)
    wanted = layer.attend(q.double(), k.double(), v.double())
    qkv = torch.stack([q * 0.25 * 1.4426950408889634, k, v]).permute(1, 3, 0, 2, 4).to(kind.dtype).contiguous()
    out = torch.empty(2, steps, 4, 16, device="cuda", dtype=kind.dtype)
    grid = (2 * 4 * -(-steps // gpu.QUERIES),)
    table = layer.rel_pos_emb.weight.to(kind.dtype)
    attend[grid](
        qkv, table, out, steps, 1, steps, 0, 1, 4, 16, FARTHEST, gpu.QUERIES, kind.products, num_warps=kind.warps
    )
    assert (out.transpose(1, 2) - wanted).norm() < ATTENTION_NEAR[precision] * wanted.norm()


@pytest.mark.gpu
def test_batches_that_begin_before_others_end():
    """Of equal and unequal lengths; each result is that of its own batch, whichever is asked for first."""
    frontend = build().cuda()
    batches = [[noise(1, size)[0].numpy() for size in sizes] for sizes in ((4000, 4000, 5000), (900,), (4000, 700))]
    wanted = [enhance_clips(frontend, batch, ["a"] * len(batch)) for batch in batches]
    ended = [begin_clips(frontend, batch, ["a"] * len(batch)) for batch in batches]
    for one, right in reversed(list(zip(ended, wanted, strict=True))):
        for got, want in zip(one(), right, strict=True):
            assert_near(got, want)
