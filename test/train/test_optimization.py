"""Optimizers and learning rates, against PyTorch's own and by hand."""

import math

import numpy as np
import pytest
import torch

from trnet.config import Training, build
from trnet.train.optimization import LearningRate, after_plateaus, make_optimizer, parameter_groups


@pytest.mark.parametrize("seed", range(20))
def test_the_plateau_is_pytorchs(seed):
    rng = np.random.default_rng(seed)
    patience, factor = int(rng.integers(0, 5)), float(rng.choice([0.1, 0.5, 0.9, 1e-6]))
    scores = rng.choice([30.0, 40.0, 40.0 * (1 + 5e-5), 40.01, 0.0, 50.0], 60) + rng.integers(0, 2) * rng.normal(
        size=60
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=factor, patience=patience)
    for count in range(1, len(scores) + 1):
        theirs.step(scores[count - 1])
        mine = after_plateaus(0.01, scores[:count].tolist(), patience, factor)
        assert mine == optimizer.param_groups[0]["lr"], count


def rates(
    training: dict, epochs: int, steps: int, uars: list[float] | None = None, lr: float = 1.0
) -> list[list[float]]:
    """The learning rate of each step of each epoch."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    conf = build(Training, {"lr": lr, **training})
    rate = LearningRate(make_optimizer([{"params": [parameter], "lr": conf.base_lr}], conf), conf)
    history, found = [], []
    for epoch in range(epochs):
        found.append([])
        for step in range(steps):
            rate.set(history, step, steps)
            found[-1].append(rate.optimizer.param_groups[0]["lr"])
        history.append({"epoch": epoch + 1, "valid_uar": uars[epoch] if uars else 30.0})
        assert not rate.steady or len(set(found[-1])) == 1
    return found


def test_a_constant_rate_is_constant():
    assert rates({}, 3, 2, lr=0.5) == [[0.5, 0.5]] * 3
    assert rates({"optimizer": {"lr": 0.25}}, 1, 1, lr=0.5) == [[0.25]]


def test_a_cosine_falls_from_step_to_step_to_its_end_and_stays_there():
    """Four epochs of two steps: after n of 8 steps 0.2 + 0.8 (1 + cos(pi n / 8)) / 2."""
    found = rates({"schedule": {"type": "cosine", "epochs": 4, "final": 0.2}}, 6, 2, lr=3.0)
    wanted = [3 * (0.2 + 0.8 * (1 + math.cos(math.pi * min(n, 8) / 8)) / 2) for n in range(12)]
    assert sum(found, []) == pytest.approx(wanted)
    assert found[0][0] == 3 and found[2][0] == pytest.approx(3 * 0.6) and found[4] == pytest.approx([0.6, 0.6])


def test_a_warm_up_rises_in_so_many_steps_and_the_schedule_goes_on_below():
    assert sum(rates({"schedule": {"warmup_steps": 4}}, 3, 2), []) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    both = sum(rates({"schedule": {"type": "cosine", "epochs": 3, "warmup_steps": 2}}, 3, 2), [])
    cosine = [(1 + math.cos(math.pi * n / 6)) / 2 for n in range(6)]
    assert both == pytest.approx([0.5 * cosine[0], *cosine[1:]])


@pytest.mark.parametrize(
    "training",
    [
        {"plateau_patience": 1, "plateau_factor": 0.5},
        {"schedule": {"type": "plateau", "patience": 1, "factor": 0.5}},
    ],
)
def test_a_plateau_cuts_the_rate_where_the_uar_stays(training):
    uars = [30.0, 30.0, 29.0, 40.0, 40.0, 40.0, 41.0]
    assert [epoch[0] for epoch in rates(training, 7, 1, uars)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_weight_decay_is_that_of_the_optimizer(name, kind):
    torch.manual_seed(0)
    start, x = torch.randn(4, 3), torch.randn(5, 4)

    def trained(make):
        weight = torch.nn.Parameter(start.clone())
        optimizer = make([{"params": [weight], "lr": 0.1}])
        for _ in range(4):
            optimizer.zero_grad()
            (x @ weight).square().mean().backward()
            optimizer.step()
        return weight.detach()

    conf = build(Training, {"optimizer": {"type": name, "weight_decay": 0.3}})
    mine = trained(lambda groups: make_optimizer(groups, conf))
    assert torch.equal(mine, trained(lambda groups: kind(groups, weight_decay=0.3)))
    assert not torch.equal(mine, trained(lambda groups: make_optimizer(groups, Training())))


def test_the_gate_has_a_rate_of_its_own_and_every_parameter_is_in_one_group():
    model = torch.nn.ModuleDict({"gate": torch.nn.Linear(2, 1), "ser": torch.nn.Linear(2, 1)})
    losses = torch.nn.Linear(3, 1)
    groups = parameter_groups(model, losses, Training(lr=0.5), 0.25)
    assert [group["lr"] for group in groups] == [0.5, 0.25, 0.5]
    parts = (model["ser"], model["gate"], losses)
    for group, part in zip(groups, parts, strict=True):
        assert [id(p) for p in group["params"]] == [id(p) for p in part.parameters()]
    assert len(parameter_groups(model["ser"], torch.nn.Identity(), Training(), 0.25)) == 1
