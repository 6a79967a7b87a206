"""Other encoders in the mini recipe, each by one option."""

import csv

import numpy as np
import pytest
from mini import SNRS
from recipes import run

pytestmark = pytest.mark.recipe


@pytest.mark.parametrize(
    "parts",
    [
        "encoder={type: light, channels: 16, layers: 1}",
        "encoder={type: ecapa_tdnn, channels: 16, out_channels: 24, attention: 8} pooling.type=statistics",
    ],
)
def test_other_encoders_are_trained_by_one_option(recipe, parts):
    exp = f"exp_{parts[15:20]}"
    options = ("--stop-stage", "6", "--folds", "1", "--max-epochs", "1", "--exp", exp, "--set", parts)
    run(recipe, "--stage", "5", "--snrs", " ".join(SNRS), "--systems", "trnet", *options)
    with open(recipe / exp / "nsnet2/trnet/fold1_seed1/history.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert np.isfinite(float(row["loss"])) and float(row["high"]) > 0
