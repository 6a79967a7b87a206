"""Losses, gradients and running statistics on batches of static shapes are those of packed frames."""

import pytest
import torch
from ragged import LENGTHS, inputs
from tiny import CONFIG

from trnet.config import Config, build
from trnet.model.batch import Batch
from trnet.model.frames import StaticFrames
from trnet.model.systems import make_system, run_system
from trnet.train.losses import WeightedSum, make_loss
from trnet.train.static_step import compiled_losses, static_losses
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError

CPU = torch.device("cpu")
SYSTEMS = ("baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")
STILL = {"channels": [8, 8], "kernel": 3}
PARTS = {
    "residual": {"encoder": STILL},
    "plain": {"encoder": {"type": "plain", "channels": [4, 8]}},
    "deltas": {"encoder": STILL | {"deltas": True, "input_norm": True, "normalise": "mean_std"}},
    "light": {"encoder": {"type": "light", "channels": 8, "dropout": 0.0}},
    "ecapa": {
        "encoder": {"type": "ecapa_tdnn", "channels": 8, "out_channels": 8, "scale": 2, "attention": 4},
        "pooling": {"type": "statistics", "attention": 4},
    },
    "statistics": {"encoder": STILL, "pooling": {"type": "statistics"}},
    "band": {"encoder": STILL, "gate": {"resolution": "band"}, "classifier": {"hidden": 8}},
}
CASES = [("residual", name) for name in SYSTEMS] + [(part, "trnet") for part in PARTS if part != "residual"]
DTYPES = {torch.float64: (1e-10, 1e-10), torch.float32: (1e-6, 1e-5)}  # of losses; of gradients and statistics


def computed(parts, name, dtype, padding, static=None, device=CPU):
    """Losses by column, gradients and buffers of a system on a ragged batch, whatever stands behind its ends.

    static: What computes them on static shapes, `static_losses` or that compiled; None: on packed frames.
    """
    config = build(Config, {**CONFIG, "features": {"num_mel_bins": 16}, **parts}, "test")
    torch.manual_seed(1)
    system = make_system(config.model(name), 4).to(dtype).train()
    options = config.system(name).training_losses(0)
    losses = WeightedSum({o.column: make_loss(o) for o in options}, {o.column: o.weight for o in options})
    noisy, enhanced, lengths = inputs(max(LENGTHS) + padding, 0.0)
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(noisy.shape[0], max(LENGTHS), noisy.shape[2], generator=generator).to(dtype)
    tensors = {
        "lengths": lengths,
        "labels": torch.tensor([0, 1, 2, 3, 0]),
        "noisy": noisy.to(dtype),
        "enhanced": enhanced.to(dtype),
        "clean": torch.nn.functional.pad(clean, (0, 0, 0, padding)),
        "h_s": torch.randn(len(LENGTHS), _h_dim(system), generator=generator).to(dtype),
    }
    system, losses = system.to(device), losses.to(device)
    tensors = {key: value.to(device) for key, value in tensors.items()}
    if static is not None:
        found = static(system, losses, tensors, bf16=False)
    else:
        batch = Batch((), **tensors)
        found = losses(run_system(system, batch), batch)
    found["loss"].backward()
    grads = {key: p.grad for key, p in system.named_parameters() if p.grad is not None}
    found = {key: value.detach() for key, value in found.items()}
    return [{key: value.cpu() for key, value in each.items()} for each in (found, grads, dict(system.named_buffers()))]


def _h_dim(system):
    return getattr(system, "h_dim", None) or system.ser.h_dim


def assert_near(wanted, got, tolerance):
    assert wanted.keys() == got.keys()
    scale = max((float(value.double().norm()) for value in wanted.values()), default=0.0)
    for key, value in wanted.items():
        assert (value.double() - got[key].double()).norm() <= tolerance * max(scale, 1e-3), key


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("parts", "name"), CASES)
def test_padding_to_static_shapes_changes_nothing(parts, name, dtype):
    wanted, got = computed(PARTS[parts], name, dtype, 0), computed(PARTS[parts], name, dtype, 9, static_losses)
    for key, value in wanted[0].items():
        assert float(got[0][key]) == pytest.approx(float(value), rel=DTYPES[dtype][0])
    tolerance = DTYPES[dtype][1] * (3 if parts == "ecapa" else 1)  # packed, it is 1.5e-5 off float64
    for before, after in zip(wanted[1:], got[1:], strict=True):
        assert_near(before, after, tolerance)


@pytest.mark.parametrize("parts", ["residual", "plain", "deltas", "ecapa"])
def test_a_compiled_gradient_is_that_of_the_same_step(parts):
    """What the gradient needs must not be what the step changes, such as the running statistics of BatchNorm."""
    torch._dynamo.reset()
    compiled = torch.compile(static_losses, fullgraph=True, dynamic=False, backend="aot_eager_decomp_partition")
    wanted, got = (computed(PARTS[parts], "trnet", torch.float64, 9, each) for each in (static_losses, compiled))
    for one, other in zip(wanted, got, strict=True):
        assert_near(one, other, 1e-10)


@pytest.mark.gpu
@pytest.mark.parametrize("parts", ["residual", "deltas"])
def test_kernels_of_a_gpu_compute_the_same_step(parts):
    """Those that PyTorch writes for it; `compiled_losses` raises where it cannot."""
    wanted = computed(PARTS[parts], "trnet", torch.float64, 0)
    got = computed(PARTS[parts], "trnet", torch.float32, 9, compiled_losses, gpu())
    for one, other in zip(wanted, got, strict=True):
        assert_near(one, other, 1e-4)


def test_packing_is_refused_where_shapes_are_static():
    with pytest.raises(TrnetError, match="mask"):
        StaticFrames(torch.tensor([1, 2]), 2).pack(torch.zeros(2, 1, 2, 1))


def test_ends_of_a_static_batch_are_not_read():
    clean = computed(PARTS["residual"], "trnet", torch.float64, 0, static_losses)
    padded = computed(PARTS["residual"], "trnet", torch.float64, 17, static_losses)
    assert float(clean[0]["loss"]) == pytest.approx(float(padded[0]["loss"]), rel=1e-12)
