"""Any setting by --set: values are YAML and read as the field's type, later ones on top."""

import pytest

from trnet.bin.options import add_config_options, config_from, make_parser
from trnet.config import load_config
from trnet.config.overrides import parse_settings
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    ("texts", "tree"),
    [
        (["training.lr=5e-4 encoder.channels=[16,32]"], {"training": {"lr": 5e-4}, "encoder": {"channels": [16, 32]}}),
        (["a=1", "a=2"], {"a": 2}),
        (["a=1 a=2"], {"a": 2}),
        (["a.b=1", "a.c=2 a.b=3"], {"a": {"b": 3, "c": 2}}),
        (["a=two words b=x"], {"a": "two words", "b": "x"}),
        (["a=[1, 2, 3] b={x: 1, y: 2}"], {"a": [1, 2, 3], "b": {"x": 1, "y": 2}}),
        (["a={x: p=q}"], {"a": {"x": "p=q"}}),
        (["a='b=1 c=2'"], {"a": "b=1 c=2"}),
        (['a="0.1" b=true c=null d= e=010'], {"a": "0.1", "b": True, "c": None, "d": None, "e": 10}),
        (["frontend=my.module:Class"], {"frontend": "my.module:Class"}),
        (["a={x: 1}", "a.y=2"], {"a": {"x": 1, "y": 2}}),
        (["  a=1\n b=2 "], {"a": 1, "b": 2}),
        ([], {}),
    ],
)
def test_settings_are_read(texts, tree):
    assert parse_settings(texts) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.lr", "training.lr"),
        ("training.lr 3", "training.lr 3"),
        ("3 a=1", "3 a=1"),
        ("=3", "=3"),
        ("", "''"),
        ("training..lr=3", "training..lr"),
        ("training.=3", "training."),
        (".lr=3", ".lr"),
        ("a=[1, 2", "a=[1, 2"),
        ("a={x: 1", "a={x: 1"),
        ("a=!!python/object:x", "a="),
        ("a=1 a.b=2", "a.b"),
    ],
)
def test_what_is_no_setting_is_named_in_one_line(text, said):
    with pytest.raises(TrnetError) as caught:
        parse_settings([text])
    message = str(caught.value)
    assert message.startswith("--set") and said in message and message.isprintable()


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "conf.yaml"
    found.write_text(
        "frontend: gtcrn\nfrontend_conf: {checkpoint: x}\n"
        "encoder: {type: residual, channels: [4, 8], deltas: true}\npooling: {attention: 7}\n"
        "training: {lr: 0.1, max_epochs: 5}\nsystems: {mine: {input: noisy}}\n"
    )
    return found


def test_settings_come_on_top_of_the_file_and_of_other_options(path):
    settings = ["training.max_epochs=7 training.lr=1", "simulation.snrs=[5, 0] systems.mine.conditions=clean"]
    config = load_config(path, {"training": {"max_epochs": 6, "batch_size": 4}}, settings)
    training = config.training
    assert (training.max_epochs, training.lr, training.batch_size) == (7, 1.0, 4) and isinstance(training.lr, float)
    assert config.simulation.snrs == [5.0, 0.0] and config.encoder.channels == [4, 8]
    assert (config.system("mine").input, config.system("mine").conditions) == ("noisy", "clean")


def test_another_part_or_front_end_leaves_the_options_of_the_file_behind(path):
    light = load_config(path, settings=["encoder.type=light encoder.layers=1 frontend=none"])
    assert (light.encoder.type, light.encoder.channels, light.encoder.layers) == ("light", 128, 1)
    assert light.frontend_conf == {} and light.pooling.attention == 7
    assert load_config(path, settings=["encoder=light"]).encoder.channels == 128
    for same in ("residual", "{type: residual}"):
        assert load_config(path, settings=[f"encoder={same}"]).encoder.channels == [4, 8]
    assert load_config(path, settings=["pooling=attention"]).pooling.attention == 7  # which the file does not name
    plain = load_config(path, settings=["encoder.type=plain"]).encoder  # its options are those of residual
    assert (plain.type, plain.channels, plain.deltas) == ("plain", [4, 8], True)
    pooling = load_config(path, settings=["pooling.type=statistics"]).pooling
    assert (pooling.type, pooling.attention) == ("statistics", 0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.batchsize=4", ["'training.batchsize'", "'batch_size'"]),
        ("traning_.lr=4", ["'traning_'", "'training'"]),
        ("training.lr=fast", ["training.lr: 'fast'"]),
        ("training.max_epochs=2.5", ["training.max_epochs: 2.5"]),
        ("training=3", ["training: ", "3"]),
        ("encoder.type=light encoder.deltas=true", ["'encoder.deltas'"]),
        ("training.lr.x=3", ["training.lr"]),
        ("systems.mine.alfa=1", ["'systems.mine.alfa'", "'alpha'"]),
        ("systems.mime.conditions=clean", ["systems.mime", "'mine'"]),
    ],
)
def test_a_setting_that_is_wrong_is_named_by_its_key(path, setting, said):
    with pytest.raises(TrnetError) as caught:
        load_config(path, settings=[setting])
    assert [part for part in said if part not in str(caught.value)] == [], str(caught.value)
    assert str(caught.value).startswith("--set") and "conf.yaml" not in str(caught.value)


def test_a_list_of_losses_takes_the_place_of_alpha_and_beta(path):
    more = "systems.new={input: both, alpha: 0.5, beta: 0.5}"
    assert [loss.type for loss in load_config(path, settings=[more]).system("new").training_losses()] == [
        *("cross_entropy", "low", "high")
    ]
    above = path.with_name("above.yaml")
    above.write_text(f"base: {path.name}\nsystems: {{new: {{input: both, alpha: 0.5, beta: 0.5}}}}")
    system = load_config(above, settings=["systems.new.losses=[cross_entropy, low]"]).system("new")
    assert [loss.type for loss in system.training_losses()] == ["cross_entropy", "low"]


def test_settings_come_on_top_of_the_front_end_of_the_command_line(path):
    parser = make_parser("test", "")
    add_config_options(parser)
    options = ["--config", str(path), "--frontend", "nsnet2", "--set", "frontend_conf.checkpoint=y"]
    assert config_from(parser.parse_args(options)).frontend_settings == {
        "frontend": "nsnet2",
        "frontend_conf": {"checkpoint": "y"},
    }
