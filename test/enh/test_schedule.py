"""Learning rates worked out by hand."""

import math

import pytest

from trnet.enh.config import EnhTraining
from trnet.enh.schedule import lr_at, plateaus


def test_warm_up():
    conf = EnhTraining(lr=1.0, warmup_steps=4)
    assert [lr_at(step, [], conf) for step in (1, 2, 4, 9)] == [0.25, 0.5, 1, 1]


def test_decay_by_epochs():
    conf = EnhTraining(lr=1.0, decay_epochs=2, decay_factor=0.5)
    assert [lr_at(99, [0.0] * epochs, conf) for epochs in range(5)] == [1, 1, 0.5, 0.5, 0.25]


def test_decay_at_plateaus():
    conf = EnhTraining(lr=1.0, plateau_patience=2, plateau_factor=0.1)
    assert lr_at(99, [3, 2, 1], conf) == pytest.approx(0.1)
    assert plateaus([3, 2, 4, 1, 1, 1, 1], 2) == 2
    assert plateaus([math.nan, 1, math.nan, 1], 2) == 1
