"""Eq. 5, 7 and 8 by hand."""

import math

import pytest
import torch
from tiny import CONFIG

from trnet.config import Config, System, build
from trnet.model.batch import Batch, Output
from trnet.model.frames import ValidFrames
from trnet.model.systems import make_ser
from trnet.train.losses import (
    CrossEntropy,
    High,
    Low,
    WeightedSum,
    balanced_weights,
    high_level_loss,
    low_level_loss,
    make_loss,
)
from trnet.utils.errors import TrnetError

LABELS = torch.tensor([0, 1])


def batch(**more) -> Batch:
    return Batch((), torch.tensor([2, 1]), LABELS, noisy=torch.zeros(2, 2, 3), **more)


def output(h: torch.Tensor | None = None, compensated: torch.Tensor | None = None, dtype=torch.float32) -> Output:
    """Logits (0, ln 3) have the probabilities 1/4 and 3/4."""
    logits = torch.tensor([[0.0, math.log(3)]] * 2, dtype=dtype)
    return Output(logits, torch.zeros(2, 2) if h is None else h, None, compensated)


def sum_of(system: dict) -> WeightedSum:
    options = build(System, system).training_losses()
    return WeightedSum({o.column: make_loss(o) for o in options}, {o.column: o.weight for o in options})


def test_equation_5_is_the_mean_over_real_frames_and_bins():
    """Two frames of (1, 3) and one of (2, 2): (1 + 9 + 1 + 9 + 4 + 4) / 6 values."""
    difference = torch.tensor([[[1.0, 3.0], [1.0, -3.0]], [[2.0, 2.0], [99.0, 99.0]]])
    x_s = torch.randn(2, 2, 2)
    loss = low_level_loss(x_s, x_s + difference, ValidFrames(torch.tensor([2, 1]), 2))
    assert loss.item() == pytest.approx(28 / 6, rel=1e-5)


def test_equation_5_has_no_gradient_behind_the_end():
    compensated = torch.randn(2, 4, 3, requires_grad=True)
    low_level_loss(torch.zeros(2, 4, 3), compensated, ValidFrames(torch.tensor([4, 1]), 4)).backward()
    assert not compensated.grad[1, 1:].any() and compensated.grad[1, 0].all()


def test_equation_7_is_the_mean_over_the_representation():
    loss = high_level_loss(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [0.0, 1.0]]))
    assert loss.item() == pytest.approx((4 + 0 + 0 + 1) / 4)


TASK = (math.log(4) + math.log(4 / 3)) / 2


@pytest.mark.parametrize(
    "system",
    [
        {"alpha": 0.5, "beta": 0.25},
        {
            "losses": [
                {"type": "cross_entropy", "name": "task"},
                {"type": "low", "weight": 0.5},
                {"type": "high", "weight": 0.25},
            ]
        },
    ],
)
def test_equation_8_weighs_its_parts(system):
    h_s, h = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [0.0, 1.0]])
    clean, compensated = torch.zeros(2, 2, 3), torch.full((2, 2, 3), 2.0)
    found = sum_of(system)(output(h, compensated), batch(h_s=h_s, clean=clean))
    assert list(found) == ["loss", "task", "low", "high"]
    wanted = [TASK + 0.5 * 4 + 0.25 * 5 / 4, TASK, 4, 5 / 4]
    assert [value.item() for value in found.values()] == pytest.approx(wanted)


def test_cross_entropy_is_alone_where_nothing_else_is_asked_for():
    found = sum_of({"input": "noisy"})(output(), batch())
    assert list(found) == ["loss", "task"] and found["loss"].item() == pytest.approx(TASK)


def test_losses_are_float32_whatever_autocast_gave():
    half = torch.ones(2, 2, dtype=torch.bfloat16)
    assert sum_of({"input": "noisy"})(output(dtype=torch.bfloat16), batch())["loss"].dtype == torch.float32
    assert high_level_loss(torch.zeros(2, 2), half).dtype == torch.float32


def test_label_smoothing_and_class_weights_by_hand():
    """Smoothed by s, the target is 1 - s of the class and s / 2 of both; weights weigh and normalise the mean."""
    smooth = CrossEntropy(label_smoothing=0.2)(output(), batch())
    both = (math.log(4) + math.log(4 / 3)) / 2
    assert smooth.item() == pytest.approx(0.8 * TASK + 0.2 * both)
    uneven = CrossEntropy(label_smoothing=0.2)(output(), Batch((), torch.ones(2), torch.tensor([0, 0])))
    assert uneven.item() == pytest.approx(0.8 * math.log(4) + 0.2 * both)
    weighed = CrossEntropy(class_weights=[3.0, 1.0])(output(), batch())
    assert weighed.item() == pytest.approx((3 * math.log(4) + math.log(4 / 3)) / 4)


def test_balanced_weights_give_each_class_the_same_sum():
    labels = [0, 0, 0, 1, 2, 2]
    weights = balanced_weights(labels, 4)
    assert weights == [6 / 12, 6 / 4, 6 / 8, 0.0]
    assert sum(weights[label] for label in labels) / len(labels) == pytest.approx(0.75)  # one, but for the absent class


def test_losses_that_do_not_fit_the_system_are_named():
    with pytest.raises(TrnetError, match="losses: 'low'"):
        Low()(output(), batch(clean=torch.zeros(2, 2, 3)))
    with pytest.raises(TrnetError, match=r"losses: 'high'.*\(2,\).*\(3,\)"):
        High()(output(), batch(h_s=torch.zeros(2, 3)))


def test_a_column_that_cannot_be_kept_is_named():
    with pytest.raises(TrnetError, match="'keys'"):
        sum_of({"input": "noisy", "losses": [{"type": "cross_entropy", "name": "keys"}]})


def test_an_own_loss_is_a_column_and_its_parameters_are_trained():
    system = {"input": "noisy", "losses": ["cross_entropy", {"type": "own_parts:CentreLoss", "classes": 2, "dim": 2}]}
    losses = sum_of(system)
    found = losses(output(torch.ones(2, 2)), batch())
    assert list(found) == ["loss", "cross_entropy", "CentreLoss"] and found["CentreLoss"].item() == 1
    found["loss"].backward()
    assert [name for name, _ in losses.named_parameters()] == ["trained.CentreLoss.centres"]
    assert losses.trained["CentreLoss"].centres.grad.any()


@pytest.mark.parametrize("name", ["Raises", "Vector", "FailingLoss"])
def test_an_own_loss_that_is_wrong_is_named_in_one_line(name):
    with pytest.raises(TrnetError, match=name) as caught:
        sum_of({"input": "noisy", "losses": [f"own_parts:{name}"]})(output(), batch())
    assert "\n" not in str(caught.value)


def test_frames_are_compared_with_what_the_teachers_encoder_makes_of_x_s():
    """As in Eq. 5: two real frames of one utterance and one of the other, two values each."""
    config = build(Config, {**CONFIG, "encoder": {"type": "light", "channels": 2}, "features": {"num_mel_bins": 3}})
    teacher = make_ser(config.model("baseline_c"), 4)
    loss = make_loss(build(System, {"losses": [{"type": "high_frames"}]}).losses[0], teacher=teacher)
    loss.train()
    clean = torch.randn(2, 2, 3)
    given = Batch((), torch.tensor([2, 1]), LABELS, noisy=torch.zeros(2, 2, 3), clean=clean)
    difference = torch.tensor([[[1.0, 3.0], [1.0, -3.0]], [[2.0, 2.0], [99.0, 99.0]]])
    encoded = teacher.encode(clean, given.frames)[0].detach() + difference
    encoded.requires_grad_(True)
    found = loss(output()._replace(encoded=encoded), given)
    assert found.item() == pytest.approx(28 / 6, rel=1e-5)  # no dropout in the teacher
    found.backward()
    assert not encoded.grad[1, 1].any() and not any(p.requires_grad for p in loss.parameters())
    with pytest.raises(TrnetError, match="frames"):
        loss(output(), given)
    with pytest.raises(TrnetError, match="like the teacher's"):
        loss(output()._replace(encoded=encoded[..., :1]), given)


def test_c_is_compared_with_the_snr():
    """0 at -5 dB and below, 1 at 25 dB and above, and for clean speech."""
    loss = make_loss(build(System, {"losses": [{"type": "snr"}]}).losses[0])
    snr, c = torch.tensor([-10.0, -5, 10, 25, 40, math.inf]), torch.tensor([0.0, 0.5, 0.75, 1, 0.5, 1])
    given = Batch((), torch.ones(6, dtype=torch.int64), torch.zeros(6, dtype=torch.int64), snr=snr)
    found = loss(Output(torch.zeros(6, 2), torch.zeros(6, 2), c), given)
    assert found.item() == pytest.approx((0.5**2 + 0.25**2 + 0.5**2) / 6)
    with pytest.raises(TrnetError, match="coefficient"):
        loss(Output(torch.zeros(6, 2), torch.zeros(6, 2)), given)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ({"losses": [{"type": "snr", "lowest": 20, "highest": 20}]}, "lowest.*20"),
        ({"losses": [{"type": "high_frames"}], "target": "enhanced_clean"}, "high_frames.*clean"),
    ],
)
def test_options_of_further_losses_are_checked(system, words):
    with pytest.raises(TrnetError, match=words):
        build(System, system)
