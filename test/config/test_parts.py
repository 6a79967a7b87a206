"""Parts by name or by class: one has not the options of another, somebody's own has its constructor's arguments."""

import pytest

from trnet.config import Config, build
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("encoder: {type: light, deltas: true}", ["'encoder.deltas'"]),
        ("encoder: {type: ecapa_tdnn, kernel: 3}", ["'encoder.kernel'"]),
        ("encoder: {scale: 8}", ["'encoder.scale'"]),
        ("encoder: {type: light, layer: 3}", ["'encoder.layer'", "'layers'"]),
        ("pooling: {type: statistics, clamp: 3}", ["'pooling.clamp'"]),
        ("encoder: {type: 'own_parts:MeanEncoder', sizee: 3}", ["'encoder.sizee'", "'size'"]),
        ("encoder: {type: 'own_parts:MeanEncoder', size: big}", ["encoder.size: 'big'"]),
        ("encoder: {type: 'own_parts:MeanEncoder', dim: 3}", ["'encoder.dim'"]),
        ("encoder: {type: 'own_parts:Needy'}", ["encoder.size: is missing; mend it there"]),
        ("encoder: {type: 'own_parts:Unreadable'}", ["encoder.type: ", "own_parts:Unreadable", "Path"]),
        ("encoder: {type: 'own_parts:Nothing'}", ["encoder.type: ", "own_parts", "Nothing"]),
        ("encoder: {type: 'no_such_module:X'}", ["encoder.type: ", "no_such_module"]),
        ("encoder: {type: 'own_parts:'}", ["encoder.type: "]),
        ("encoder: {type: '../x:Y'}", ["encoder.type: "]),
        ("encoder: {type: residul}", ["encoder.type: 'residul' is unknown; did you mean 'residual'? Known: residual "]),
        ("encoder: {type: residul}", [" ecapa_tdnn, or your own package.module:Class; mend it there"]),
        ("encoder: {type: xyz}", ["encoder.type: 'xyz' is unknown. Known: residual plain light "]),
        (
            "systems: {x: {losses: [{type: hihg}]}}",
            ["systems.x.losses[0].type: 'hihg' is unknown; did you mean 'high'?"],
        ),
        ("pooling: {type: 'own_parts:MaxPooling', scale: loud}", ["pooling.scale: 'loud'"]),
        ("features: {type: 'own_parts:Energies', num_mel_bins: 3}", ["'features.num_mel_bins'"]),
        ("features: {type: 'own_parts:Energies', max_seconds: 0}", ["features.max_seconds: 0"]),
        ("systems: {x: {model: 'no_such_module:X', losses: [low]}}", []),
        ("systems: {x: {losses: [{type: 'own_parts:NoNeeds'}]}}", ["own_parts:NoNeeds", "needs", "clean"]),
        ("systems: {x: {losses: [{type: 'own_parts:CentreLoss', classes: 4}]}}", ["systems.x.losses[0].dim"]),
        ("systems: {x: {losses: [{type: 'no_such_module:X'}]}}", ["systems.x.losses[0].type", "no_such_module"]),
        ("systems: {x: {losses: [{type: 'own_parts:Distance', name: loss}]}}", ["losses[0].name: 'loss'"]),
        ("systems: {x: {losses: [{type: 'own_parts:Distance', name: 'a b'}]}}", ["a b"]),
        ("systems: {x: {losses: [{type: 'own_parts:OwnWeight'}]}}", ["own_parts:OwnWeight", "'weight'"]),
        ("encoder: {type: 'own_parts:OwnOptions'}", ["own_parts:OwnOptions", "'options'"]),
        ("encoder: light\nsystems: {x: {losses: [cross_entropy, ctc]}}", ["systems.x.losses: encoder light"]),
        ("training: {ctc_weight: 0.1}\nsystems: {x: {losses: [cross_entropy, ctc]}}", ["training.ctc_weight", "x"]),
        ("systems: {x: {losses: [{type: cross_entropy, label_smoothing: 1}]}}", ["losses[0].label_smoothing: 1"]),
        ("systems: {x: {losses: [{type: cross_entropy, class_weights: even}]}}", ["losses[0].class_weights", "even"]),
        ("systems: {x: {losses: [{type: low, label_smoothing: 0.1}]}}", ["'systems.x.losses[0].label_smoothing'"]),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_and_value(load, section, said):
    if not said:  # a class that is asked only when the system is used
        load(section)
        return
    with pytest.raises(TrnetError) as caught:
        load(section)
    message = str(caught.value)
    assert "conf.yaml" in message and "\n" not in message
    assert [part for part in said if part not in message] == [], message


def test_the_options_of_a_class_are_the_arguments_of_its_constructor(load):
    config = load("encoder: {type: 'own_parts:MeanEncoder', size: '9', note: '12'}\npooling: own_parts:MaxPooling")
    assert config.encoder.options() == {"size": 9, "every": 2, "note": "12"} and config.encoder.is_own
    assert config.pooling.options() == {"scale": 1.0, "names": ()}
    assert load("pooling: {type: 'own_parts:MaxPooling', names: [a, b]}").pooling.options()["names"] == ["a", "b"]
    assert config.encoder.plain() == {"type": "own_parts:MeanEncoder", "size": 9, "every": 2, "note": "12"}
    again = build(Config, config.plain())
    assert again.encoder == config.encoder and again.plain() == config.plain()


def test_lists_are_tuples_where_a_class_wants_them_and_what_no_yaml_holds_is_no_option(load):
    encoder = load("encoder: {type: 'own_parts:Activated', kernels: [3, 5]}").encoder
    assert encoder.options() == {"kernels": (3, 5)} and encoder.plain()["kernels"] == [3, 5]
    with pytest.raises(TrnetError, match="'encoder.activation'"):
        load("encoder: {type: 'own_parts:Activated', activation: tanh}")


def test_a_class_that_takes_any_option_gets_them(load):
    config = load("encoder: {type: 'own_parts:Anything', colour: [1, red]}")
    assert config.encoder.options() == {"colour": [1, "red"]}
    assert config.encoder.plain()["colour"] == config.encoder.record()["colour"] == [1, "red"]
    assert build(Config, config.plain()).encoder.options() == {"colour": [1, "red"]}


def test_own_features_have_a_span_in_seconds(load):
    features = load("features: {type: 'own_parts:Energies', max_seconds: 2.5, window: 160}").features
    assert features.span == 40000 and features.options() == {"window": 160}


def test_own_classes_are_listed_for_who_has_to_trust_them(load):
    text = """
features: {type: 'own_parts:Energies'}
encoder: own_parts:MeanEncoder
systems: {mine: {model: 'own_parts:Late', options: {share: 0.3}}, plain: {input: noisy}}
"""
    config = load(text)
    assert config.model("mine").own_classes == ["own_parts:Energies", "own_parts:MeanEncoder", "own_parts:Late"]
    assert config.model("plain").own_classes == ["own_parts:Energies", "own_parts:MeanEncoder"]
    assert config.system("mine").inputs == ("noisy", "enhanced") and config.system("mine").uses_frontend


def test_a_model_that_does_not_say_what_it_reads_is_named(load):
    for name in ("NoInputs", "MeanEncoder"):
        system = load(f"systems: {{x: {{model: 'own_parts:{name}'}}}}").system("x")
        with pytest.raises(TrnetError, match=f"own_parts:{name}: .*inputs"):
            _ = system.inputs


def test_losses_say_what_they_need(load):
    config = load(
        """
systems:
  plain: {input: noisy}
  both: {alpha: 0.5, beta: 0.25}
  list: {losses: [{type: cross_entropy, name: task}, {type: 'own_parts:Distance', weight: 0.5}]}
  own: {target: enhanced_clean, losses: [cross_entropy, low]}
"""
    )
    needs = {name: config.needs(name) for name in config.systems}
    assert needs == {"plain": set(), "both": {"clean", "h_s"}, "list": {"noisy", "enhanced"}, "own": {"clean"}}
    assert [config.needs_teacher(name) for name in config.systems] == [False, True, False, False]
    assert [config.target_kind(name) for name in config.systems] == [None, "noisy", None, "enhanced"]
    columns = [loss.column for loss in config.system("list").training_losses(0.1)]
    assert columns == ["task", "Distance", "ctc"]
