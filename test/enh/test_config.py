"""Settings: mistakes in one line that names the file and the key."""

import math
from pathlib import Path

import pytest

from trnet.enh.config import load_enh_config
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"learning_rate": 1}}, ["'training.learning_rate'"]),
        ({"frontent": "dccrn"}, ["'frontent'", "did you mean 'frontend'"]),
        ({"training": {"batch_size": 1}}, ["training.batch_size: 1"]),
        ({"training": {"optimizer": "sgd"}}, ["training.optimizer: 'sgd'", "adam, adamw"]),
        ({"validation": {"choose": "uar"}}, ["validation.choose: 'uar'", "si_sdr, pesq"]),
        ({"training": {"segment_s": math.nan}}, ["training.segment_s", "nan"]),
        ({"training": None}, ["training: "]),
        ({"frontend": "../x"}, ["frontend: '../x'"]),
        ({"training": {"lr": "fast"}}, ["training.lr: 'fast'"]),
    ],
)
def test_mistakes_name_the_file_and_the_key(write_config, changes, words):
    path = write_config(**changes)
    with pytest.raises(TrnetError) as caught:
        load_enh_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_recipes_settings_are_read():
    for path in sorted((Path(__file__).parents[2] / "egs").glob("*/enh1/conf/*.yaml")):
        if path.stem in ("cmgan", "dccrn", "dpt_fsnet"):
            assert load_enh_config(path).frontend == path.stem
    with pytest.raises(TrnetError, match=r"cmgan\.yaml.*max_epochs"):
        load_enh_config(path.parent / "cmgan.yaml", max_epochs=0)


def test_any_setting_is_given_on_the_command_line(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text("frontend: dccrn\ntraining: {lr: 0.1, max_epochs: 9}\n")
    config = load_enh_config(path, 5, ["training.lr=5e-4 training.batch_size=2", "validation.choose=pesq"])
    assert (config.training.lr, config.training.batch_size, config.training.max_epochs) == (5e-4, 2, 5)
    assert config.validation.choose == "pesq"
    with pytest.raises(TrnetError, match=r"^--set: unknown key 'training.lrr'; did you mean 'lr'"):
        load_enh_config(path, None, ["training.lrr=1"])
