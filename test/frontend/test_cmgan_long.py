"""Long speech through CMGAN: windows without a seam, in bounded memory; up to a window, the whole clip."""

import pytest
import torch
from near import EPS, ROUNDINGS, assert_near
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trnet.frontend import build_frontend
from trnet.frontend.cmgan.conformer import ROWS, SCORES, RelativeAttention
from trnet.frontend.cmgan.windows import over_windows, window_starts
from trnet.utils.errors import TrnetError

RATE = 16000
HOP = 100
REACH = 90 * HOP + 400
"""Samples that the convolutions see back: dense blocks 15 frames each, conformers 4 * 15, a window at either end."""


def tiny(seed=0, **conf):
    """A front-end of 4 channels, the same weights at every call, every norm and bias off its default."""
    torch.manual_seed(seed)
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": {"init": "random", "num_channel": 4, **conf}})
    for parameter in frontend.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return frontend


def restless(seconds: float) -> torch.Tensor:
    """(1, samples): noise and a tone whose level and pitch change all the time."""
    time = torch.arange(round(seconds * RATE)) / RATE
    generator = torch.Generator().manual_seed(1)
    hiss = torch.randn(len(time), generator=generator) * (1.2 + (7 * time).sin())
    tone = (2 * torch.pi * (300 + 100 * (3 * time).sin()) * time).sin() * (1 + (11 * time).cos())
    return (0.05 * hiss + 0.1 * tone)[None]


@pytest.mark.parametrize(
    ("total", "window", "shared"),
    [(256100, 256000, 48000), (464000, 256000, 48000), (464100, 256000, 48000), (57600000, 256000, 48000)]
    + [(1000, 500, 400), (900, 800, 1)],
)
def test_windows_cover_a_clip(total, window, shared):
    starts = window_starts(total, window, shared, HOP)
    steps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
    assert starts[0] == 0 and starts[-1] == total - window and all(s % HOP == 0 for s in starts)
    assert min(steps) > 0 and max(steps) <= window - shared
    assert (len(starts) - 2) * ((window - shared) // HOP * HOP) < total - window  # one less would not do


def test_cross_fades_add_up_and_keep_clear_of_the_ends():
    wav = torch.rand(2, 5000)

    def process(part):
        """Right, but for 200 samples at either end, and these are right at the ends of the clip."""
        assert part.shape == (2, 1000)
        out = part.clone()
        out[:, :200][:, : 0 if torch.equal(part, wav[:, :1000]) else 200] = 9.0
        out[:, 800 if not torch.equal(part, wav[:, -1000:]) else 1000 :] = 9.0
        return out

    assert_near(over_windows(wav, process, 1000, 300, 200, HOP), wav)
    assert (over_windows(wav, process, 1000, 300, 100, HOP) - wav).abs().max() > 0.1


def make_local(frontend):
    """Leave the network its convolutions: no statistics of the clip in the norms, no attention."""
    for module in frontend.network.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.track_running_stats = True
            module.running_mean = torch.zeros(module.num_features)
            module.running_var = torch.ones(module.num_features)
        if isinstance(module, RelativeAttention):
            module.forward = torch.zeros_like
    return frontend


def test_windows_are_exact_where_the_network_hears_no_farther():
    """Output by windows against output of the whole: the same at every sample, if the context is the reach."""
    wav = restless(1.9)
    whole = make_local(tiny(fast=False)).enhance(wav)

    def error(window, overlap, context):
        frontend = make_local(tiny(window_s=window, overlap_s=overlap, context_s=context, fast=False))
        return float((frontend.enhance(wav) - whole).abs().max() / whole.abs().max())

    assert error(1.6, 0.1, REACH / RATE) < ROUNDINGS * EPS
    assert error(1.0, 0.05, 0.02) > 1e-3


@pytest.mark.slow
def test_no_seam_in_what_the_whole_network_says():
    """Within 10 ms of a joint the output is as near that of the whole clip as it is elsewhere; cut hard, it is not.

    Norms and attention hear a window instead of the clip, so the two differ everywhere; a seam would be a place
    where they differ more. Mean of three draws of weights, as what few joints say varies.
    """
    wav = restless(0.95)
    rms = wav.square().mean().sqrt()

    def excess(out, whole, joints):
        """Mean square difference near the joints over that elsewhere."""
        at = torch.arange(len(whole))
        near = torch.stack([(at - joint).abs() < RATE // 100 for joint in joints]).any(dim=0)
        difference = (out - whole).square()
        return float(difference[near].mean() / difference[~near].mean())

    windows, rows = [], []
    for seed in (0, 1, 2):
        whole = tiny(seed).enhance(wav)[0]
        frontend = tiny(seed, window_s=0.55, overlap_s=0.05, context_s=0.15)
        starts = window_starts(wav.shape[1], frontend.window, frontend.overlap + 2 * frontend.context, HOP)
        joints = [(a + b + frontend.window) // 2 for a, b in zip(starts, starts[1:], strict=False)]
        assert len(joints) == 2
        windows.append(excess(frontend.enhance(wav)[0], whole, joints))
        cut = frontend._enhance((wav / rms).reshape(2, -1)).reshape(-1) * rms  # as the authors do
        rows.append(excess(cut, whole, [len(whole) // 2]))
    assert sum(windows) / 3 < 1.1, windows
    assert sum(rows) / 3 > 2, rows


@pytest.mark.parametrize("samples", [8000, 7901, 300])
def test_up_to_a_window_a_clip_is_enhanced_whole(samples):
    wav = restless(1)[:, :samples]
    conf = {"overlap_s": 0.1, "context_s": 0.1}
    assert torch.equal(tiny(window_s=0.5, **conf).enhance(wav), tiny().enhance(wav))


class Passes:
    """Stands in for the network: gives its input back, and remembers the shapes."""

    def __init__(self, frontend):
        self.shapes = []
        frontend._pass = self

    def __call__(self, wav):
        self.shapes.append(tuple(wav.shape))
        return wav


@pytest.mark.parametrize(("seconds", "windows"), [(16.0, 1), (16.00625, 2), (29.0, 2), (29.00625, 3), (1601.003, 123)])
def test_lengths_that_the_authors_code_fails_on(seconds, windows):
    """With the windows of the defaults: all of the clip comes back in its place, no pass longer than 16 s."""
    frontend = tiny()
    passes = Passes(frontend)
    wav = torch.linspace(-0.7, 0.9, round(seconds * RATE))[None]
    out = frontend.enhance(wav)
    assert passes.shapes == [(1, 256000)] * windows
    assert_near(out, wav)


def test_a_hop_more_than_a_window():
    wav = restless(0.30625)
    out = tiny(window_s=0.3, overlap_s=0.1, context_s=0.05).enhance(wav)
    assert out.shape == wav.shape and out.isfinite().all() and out[:, -100:].any()


def test_clips_that_fill_a_window_share_a_pass():
    frontend = tiny()
    passes = Passes(frontend)
    frontend.enhance(0.1 * torch.ones(8, 5 * RATE))
    assert passes.shapes == [(3, 80000), (3, 80000), (2, 80000)]


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation gives."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [t.untyped_storage().nbytes() for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        self.bytes = max(self.bytes, *sizes, 0)
        return out


@pytest.mark.slow
def test_memory_is_that_of_a_window():
    def largest(seconds, clips, **conf):
        wav = restless(seconds).repeat(clips, 1)
        with Largest() as mode:
            tiny(**conf).enhance(wav)
        return mode.bytes

    conf = {"window_s": 0.1, "overlap_s": 0.02, "context_s": 0.01}
    for fast in (True, False):
        window = largest(0.1, 1, fast=fast, **conf)
        assert largest(0.3, 1, fast=fast, **conf) == largest(0.15, 3, fast=fast, **conf) == window
    assert largest(0.3, 1, fast=False) > 2.5 * window


def test_memory_of_attention_is_linear():
    attention = RelativeAttention(4).requires_grad_(False)
    q, k, v = torch.randn(3, 2, 4, 2000, 1).unbind(0)
    with Largest() as mode:
        attention.attend(q, k, v)
    assert mode.bytes <= 4 * SCORES < 4 * 8 * 2000**2 / 3


def test_attention_of_many_sequences_shares_its_reading_of_keys():
    """Blocks of one query each, of all sequences, read all keys and values for every query."""
    attention = RelativeAttention(4).requires_grad_(False)
    queries = []
    attention.rel_pos_emb.register_forward_hook(lambda module, distance, embedding: queries.append(len(embedding)))
    q, k, v = torch.randn(3, 2000, 4, 200, 1).unbind(0)
    with Largest() as mode:
        attention.attend(q, k, v)
    assert sum(queries) % 200 == 0 and len(queries) <= sum(queries) // ROWS + sum(queries) // 200
    assert mode.bytes <= 4 * SCORES


@pytest.mark.parametrize(
    "conf",
    [
        {"window_s": 0},
        {"window_s": 3.0},
        {"window_s": 0.01, "overlap_s": 0, "context_s": 0},
        {"window_s": "16 s"},
        {"window_s": float("inf")},
        {"overlap_s": -1},
        {"overlap_s": 14.0},
        {"context_s": float("nan")},
        {"context_s": True},
    ],
)
def test_windows_out_of_range(conf):
    with pytest.raises(TrnetError, match="_s"):
        tiny(**conf)
