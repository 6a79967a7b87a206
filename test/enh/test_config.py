"""Settings: mistakes in one line; learning rates, chosen epochs and ends worked out by hand."""

import math
from pathlib import Path

import pytest

from trnet.enh.config import Training, Validation, load_enh_config
from trnet.enh.schedule import best_epoch, ends_at, goes_too_far, is_finished, lr_at, plateaus
from trnet.utils.errors import TrnetError

SI_SDR = Validation(choose="si_sdr")


def history(*scores: float) -> list[dict]:
    return [{"epoch": i, "valid_si_sdr": score, "valid_pesq": -score} for i, score in enumerate(scores, 1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"learning_rate": 1}}, "unknown key 'training.learning_rate'"),
        ({"frontent": "dccrn"}, "unknown key 'frontent'; did you mean 'frontend'?"),
        ({"training": {"batch_size": 1}}, "training.batch_size: 1 must be from 2"),
        ({"training": {"optimizer": "sgd"}}, "training.optimizer: 'sgd' is not one of adam, adamw"),
        ({"validation": {"choose": "uar"}}, "validation.choose: 'uar' is not one of si_sdr, pesq"),
        ({"training": {"segment_s": math.nan}}, "training.segment_s: '.nan' is no number"),
        ({"training": None}, "training: must be a mapping"),
        ({"frontend": "../x"}, "frontend: '../x'"),
        ({"training": {"lr": "fast"}}, "training.lr: 'fast' is no number"),
    ],
)
def test_mistakes_name_the_file_and_the_key(write_config, changes, message):
    path = write_config(**changes)
    with pytest.raises(TrnetError) as caught:
        load_enh_config(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def test_recipes_settings_are_read():
    for path in sorted((Path(__file__).parents[2] / "egs").glob("*/enh1/conf/*.yaml")):
        if path.stem in ("cmgan", "dccrn", "dpt_fsnet"):
            assert load_enh_config(path).frontend == path.stem
    with pytest.raises(TrnetError, match="max_epochs: 0 must be from 1"):
        load_enh_config(path.parent / "cmgan.yaml", max_epochs=0)


def test_learning_rate():
    warm = Training(lr=1.0, warmup_steps=4)
    assert [lr_at(step, [], warm, SI_SDR) for step in (1, 2, 4, 9)] == [0.25, 0.5, 1, 1]
    decay = Training(lr=1.0, decay_epochs=2, decay_factor=0.5)
    assert [lr_at(99, history(*range(n)), decay, SI_SDR) for n in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    plateau = Training(lr=1.0, plateau_patience=2, plateau_factor=0.1)
    assert lr_at(99, history(3, 2, 1), plateau, SI_SDR) == pytest.approx(0.1)
    assert plateaus(history(3, 2, 4, 1, 1, 1, 1), plateau, SI_SDR) == 2


def test_chosen_epoch():
    assert best_epoch([], SI_SDR) == 0
    assert best_epoch(history(1, 3, 3, 2), SI_SDR) == 2
    assert best_epoch(history(1, 3, 3, 2), Validation(choose="pesq")) == 1
    assert best_epoch(history(math.nan, -5), SI_SDR) == 2


def test_end():
    conf = Training(max_epochs=4, patience=2)
    assert not is_finished(history(1, 2, 1), conf, SI_SDR) and is_finished(history(1, 2, 1, 1), conf, SI_SDR)
    assert is_finished(history(3, 2, 1), conf, SI_SDR) and ends_at(history(3, 2, 1), conf, SI_SDR)
    assert goes_too_far(history(3, 2, 1, 1), conf, SI_SDR) and not ends_at(history(3, 2, 1, 1), conf, SI_SDR)
