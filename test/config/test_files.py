"""Files that are based on others: which value comes out on top, and what is not inherited."""

import pytest

from trnet.config import load_config
from trnet.utils.errors import TrnetError


def test_bases_are_laid_over_each_other_from_left_to_right_and_the_file_over_all(tmp_path, load):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "root.yaml").write_text("training: {lr: 0.1, batch_size: 1, patience: 1}\nfrontend: none\n")
    (tmp_path / "deep" / "a.yaml").write_text("base: root.yaml\ntraining: {batch_size: 2, patience: 2, max_epochs: 2}")
    (tmp_path / "b.yaml").write_text("training: {patience: 3, max_epochs: 3, grad_clip: 3}")
    config = load("base: [deep/a.yaml, b.yaml]\ntraining: {grad_clip: 4}", {"training": {"bucketing": 5}})
    training = config.training
    assert (training.lr, training.batch_size, training.patience) == (0.1, 2, 3)  # root, a over root, b over a
    assert (training.max_epochs, training.grad_clip, training.bucketing) == (3, 4, 5)  # b, the file, the overrides
    assert config.frontend == "none"


def test_a_list_replaces_a_list_and_does_not_join_it(tmp_path, load):
    (tmp_path / "base.yaml").write_text("encoder: {channels: [1, 2, 3]}\nfrontend_conf: {checkpoint: x}")
    config = load("base: base.yaml\nencoder: {channels: [9]}\nfrontend_conf: {init: random}")
    assert config.encoder.channels == [9]
    assert config.frontend_conf == {"checkpoint": "x", "init": "random"}


@pytest.mark.parametrize(
    ("own", "conf"),
    [
        ("frontend: enhanced_scp\nfrontend_conf: {scp: a.scp}", {"scp": "a.scp"}),
        ("frontend: none", {}),
        ("frontend: gtcrn\nfrontend_conf: {level_dbfs: -23}", {"checkpoint": "x", "level_dbfs": -23}),
        ("frontend_conf: {level_dbfs: -23}", {"checkpoint": "x", "level_dbfs": -23}),
    ],
)
def test_another_front_end_does_not_inherit_the_options_of_the_bases(tmp_path, load, own, conf):
    (tmp_path / "base.yaml").write_text("frontend: gtcrn\nfrontend_conf: {checkpoint: x}")
    assert load(f"base: base.yaml\n{own}").frontend_conf == conf


@pytest.mark.parametrize("text", ["base:", "base: 5", "base: [3]", "base: conf.yaml"])
def test_a_base_that_is_no_file_name_or_names_itself_is_refused(load, text):
    with pytest.raises(TrnetError, match="base"):
        load(text)


def test_a_chain_of_bases_ends(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.yaml").write_text(f"base: {number + 1}.yaml")
    with pytest.raises(TrnetError, match="20.yaml: .*base"):
        load_config(tmp_path / "0.yaml")


@pytest.mark.parametrize(
    ("own", "folds"),
    [
        ("{kind: all}", ("all", "none", 0)),
        ("{kind: groups, count: 4}", ("groups", "next", 4)),
        ("{kind: speakers}", ("speakers", "next", 0)),
        ("{validators: 2}", ("speakers", "next", 0)),
    ],
)
def test_folds_of_another_kind_do_not_inherit_the_options_of_the_bases(tmp_path, load, own, folds):
    (tmp_path / "base.yaml").write_text("folds: {valid: next}")
    found = load(f"base: base.yaml\nfolds: {own}").folds
    assert (found.kind, found.valid, found.count) == folds
