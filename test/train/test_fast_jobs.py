"""Steps of static shapes, compiled or by tables of rows, are those of the readable way."""

import pytest
import torch
from training import run_of, with_settings

from trnet.train.fast_jobs import CapturedSERJob
from trnet.train.ser_job import SERJob

pytestmark = pytest.mark.slow

SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")
STILL = {"encoder": {"channels": [8, 8], "kernel": 3}}  # nothing is drawn in a step
ENCODERS = {
    "plain": {"type": "plain", "channels": [4, 8]},
    "deltas": {"channels": [4, 8], "deltas": True, "input_norm": True, "normalise": "mean_std"},
    "light": {"type": "light", "channels": 8, "dropout": 0.0},
    "ecapa": {"type": "ecapa_tdnn", "channels": 8, "out_channels": 8, "scale": 2, "attention": 4},
}


@pytest.fixture
def session_of(tiny, tmp_path):
    """A session whose teacher's h_s are made up."""

    def make(changes=STILL, **training):
        return with_settings(tiny, tmp_path, changes, **{"compile": False, **training})

    return make


def data_of(session, name):
    """What a run is trained from, features in memory."""
    run = run_of(session, name)
    session.hold([run])
    for block in session.cache._held.blocks:
        block.flat = block.flat.to(torch.get_default_dtype())
    experiment = session.experiment
    needs = experiment.config.needs(name)
    h_s = None
    if "h_s" in needs:
        dim = SERJob(without_teacher(session, name, run), [run])
        dim.begin()
        generator = torch.Generator().manual_seed(0)
        h_s = {utt: torch.randn(dim.model.ser.h_dim, generator=generator) for utt in run.fold.train}
    return without_teacher(session, name, run, h_s), run


def without_teacher(session, name, run, h_s=None):
    from dataclasses import replace

    baseline = session.data(run_of(session, "baseline_n"))
    return replace(baseline, name=name, conditions=session.experiment.conditions(name), h_s=h_s, utts=run.fold.train)


def epochs(job, count=2):
    """Losses of each step of some epochs, and the state behind them."""
    job.begin()
    losses, history = [], []
    for epoch in range(1, count + 1):
        _, steps = job.steps(epoch, history)
        rows = [job.step(step.batch) for step in steps]
        losses += [{name: float(value) for name, value in row.items()} for row in rows]
        history.append({"epoch": epoch, "valid_uar": 50.0})
    return losses, job.state()


def assert_same(first, second, tolerance):
    """Losses, weights, running statistics and moments, relative to the largest value of each tensor."""
    for one, other in zip(first[0], second[0], strict=True):
        assert one.keys() == other.keys()
        assert all(other[k] == pytest.approx(one[k], rel=tolerance) for k in one)
    assert first[1]["model"].keys() == second[1]["model"].keys()
    for key, value in first[1]["model"].items():
        assert_near(value, second[1]["model"][key], tolerance)
    first, second = (each[1]["optimizer"] for each in (first, second))
    assert first["param_groups"] == second["param_groups"]
    for one, other in zip(first["state"].values(), second["state"].values(), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_near(value, other[key], tolerance)


def assert_near(wanted, got, tolerance):
    assert wanted.shape == got.shape
    assert (wanted.double() - got.double()).abs().max() <= tolerance * (1 + wanted.double().abs().max())


@pytest.fixture
def in_float64():
    """Features, networks and losses in float64, so that no rounding is taken for a fault, or a fault for rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_lane_trains_as_the_readable_way(session_of, in_float64, name):
    data, run = data_of(session_of(), name)
    assert_same(
        epochs(SERJob(data, [run])), epochs(CapturedSERJob(data, [run])), 1e-6
    )  # learning rates are float32 there
