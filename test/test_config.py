"""Configuration: what is wrong in a YAML is named, what is right builds the systems it says."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
import yaml
from trnet.train.forward import input_kinds, make_model, run_model

from trnet.config import Config, Features, System, load_config
from trnet.model.batch import Batch
from trnet.utils.errors import TrnetError

EGS = Path(__file__).parents[1] / "egs"
PAPER = EGS / "TEMPLATE/ser1/conf/paper.yaml"
RELEASE = EGS / "TEMPLATE/ser1/conf/release.yaml"
EXPERIMENTS = sorted(
    path
    for path in EGS.glob("*/ser1/conf/*.yaml")
    if not path.name.startswith(("contract", "labels")) and path != RELEASE
)
SIX = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")


@pytest.fixture
def load(tmp_path):
    """load(text, overrides): the configuration that the text of a YAML file says."""

    def read(text: str, overrides: dict | None = None) -> Config:
        path = tmp_path / "conf.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides)

    return read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frontent: none", r"unknown key 'frontent'; did you mean 'frontend'\?"),
        ("training: {batchsize: 4}", r"unknown key 'training.batchsize'; did you mean 'batch_size'\?"),
        ("systems: {mine: {input: both, alfa: 1}}", r"unknown key 'systems.mine.alfa'; did you mean 'alpha'\?"),
        ("features: {zzzzzz: 1}", r"unknown key 'features.zzzzzz'\. Known: sample_rate num_mel_bins"),
        ("training: {lr: fast}", r"training.lr: 'fast' is no number"),
        ("training: {max_epochs: 2.5}", r"training.max_epochs: 2.5 is no whole number"),
        ("training: {max_epochs: true}", r"training.max_epochs: True is no whole number"),
        ("training: 3", r"training: must be a mapping, not 3"),
        ("training:", r"training: must be a mapping, not None"),
        ("systems:", r"systems: must be a mapping, not None"),
        ("systems: {x: }", r"systems.x: must be a mapping, not None"),
        ("systems: {../x: {}}", r"systems: '../x'"),
        ("frontend: ../../x:y", r"frontend: '../../x:y'"),
        ("frontend: [gtcrn]", r"frontend: must be a text"),
        ("simulation: {snrs: 10}", r"simulation.snrs: must be a list, not 10"),
        ("simulation: {snrs: [10, loud]}", r"simulation.snrs\[1\]: 'loud' is no number"),
        ("simulation: {snrs: [10, 1e2, 101]}", r"simulation.snrs\[2\]: 101.0 must be from -100 to 100"),
        ("simulation: {snrs: [10, 10.0000001]}", r"simulation.snrs: 10 dB is there twice"),
        ("simulation: {train_noise: a/b}", r"simulation.train_noise: 'a/b'"),
        ("encoder: {deltas: 1}", r"encoder.deltas: must be true or false, not 1"),
        ("encoder: {channels: [8, 1000000000000]}", r"encoder.channels\[1\]: .* must be from 1 to"),
        ("encoder: {kernel: 4}", r"encoder.kernel: 4 must be odd"),
        ("encoder: {dropout: 1}", r"encoder.dropout: 1.0"),
        ("frontend_conf: [1]", r"frontend_conf: must be a mapping"),
        ("encoder: {type: transformer}", r"encoder.type: 'transformer' is not one of residual, plain"),
        ("training: {precision: fp8}", r"training.precision: 'fp8' is not one of float32, bf16"),
        ("features: {compression: 2}", r"features.compression: 2 is not one of 3, 0"),
        ("features: {low_freq: 9000}", r"features.low_freq: 9000.0 must lie below"),
        ("folds: {valid: random}", r"folds.valid: of kind speakers, random is not one of same_group, next"),
        ("training: {ctc_weight: -1}", r"training.ctc_weight: -1.0 must be from 0"),
        ("ctc: {vocab: 0}", r"ctc.vocab: 0 must be from 1"),
        ("ctc: {model: word}", r"ctc.model: 'word' is not one of unigram, bpe, char"),
        ("ctc: {tap: 0}", r"ctc.tap: 0 must be from 1"),
        ("ctc: {tap: 3}", r"ctc.tap: after 3 blocks there is one frame for 8 log-mels; at most 4, that is tap 2"),
        ("training: {ctc_weight: 1}\nencoder: {channels: [8]}", r"ctc.tap: 2 is beyond the 1 blocks of encoder"),
        ("training: {ctc_weight: 1}\nfeatures: {pad: repeat}", r"ctc_weight: with 'features.pad: repeat' the speech"),
        ("gate: {snr_features: log}", r"gate.snr_features: 'log' is not one of centred, raw"),
        ("systems: {x: {input: noisy, alpha: 0.5}}", r"systems.x.input: alpha, beta and bridge need 'input: both'"),
        ("folds: {kind: groups, valid: next}", "folds.count: 0 must be 3 or more"),
        ("folds: {kind: groups, count: 5}", "folds.valid: of kind groups, same_group is not one of next"),
        ("folds: {kind: official, count: 3, valid: dev}", "folds.count: 3 is for .kind: groups. only"),
        ("folds: {valid: next, shared_speakers: true}", "folds.shared_speakers: is for .kind: official. only"),
        ("- a\n- b", r"is not a YAML mapping"),
        ("a: [1", r"is not YAML"),
        ("base: nowhere.yaml", r"nowhere.yaml: no such configuration file"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(load, text, message):
    with pytest.raises(TrnetError, match=message) as caught:
        load(text)
    assert ".yaml" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["frame_length", "frame_shift", "num_mel_bins", "max_frames", "low_freq", "sample_rate"]
)
@pytest.mark.parametrize("value", [".nan", ".inf", "1e308", "1e-9", "-1", "1_0", "\u0663", "1" * 5000, "[1]", "null"])
def test_a_number_that_cannot_be_is_named_with_its_key(load, key, value):
    if (key, value) == ("low_freq", "1e-9"):
        pytest.skip("is a frequency")
    with pytest.raises(TrnetError, match=rf"conf.yaml: features.{key}: "):
        load(f"features: {{{key}: {value}}}")


def test_a_section_that_is_null_is_named_though_the_command_line_fills_it(load):
    with pytest.raises(TrnetError, match="training: must be a mapping"):
        load("training:", {"training": {"max_epochs": 3}})


def test_whole_numbers_are_taken_for_floats_but_not_the_reverse(load):
    config = load("training: {lr: 1}\nsimulation: {snrs: [5, -5]}")
    assert config.training.lr == 1.0 and isinstance(config.training.lr, float)
    assert config.simulation.snrs == [5.0, -5.0] and all(isinstance(s, float) for s in config.simulation.snrs)


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


@pytest.mark.parametrize("text", ["training: {batch_size: 0}", "features: {max_frames: 0}", "encoder: {channels: []}"])
def test_sizes_that_cannot_be_are_refused(load, text):
    with pytest.raises(TrnetError):
        load(text)


def test_paper_yaml_says_the_defaults():
    config = load_config(PAPER)
    assert dataclasses.replace(config, systems={}) == Config()
    assert list(config.systems) == list(SIX)


def test_the_defaults_are_the_papers_section_4():
    config = Config()
    assert (config.frontend, config.features.num_mel_bins, config.features.max_frames) == ("cmgan", 80, 500)
    assert (config.features.frame_length, config.features.frame_shift, config.features.sample_rate) == (25, 10, 16000)
    assert config.simulation.snrs == [20, 15, 10, 5, 0] and config.simulation.train_noise == "esc"
    assert (config.encoder.channels, config.encoder.kernel) == ([32, 64, 128, 256], 5)
    training = config.training
    assert (training.batch_size, training.lr, training.max_epochs) == (32, 1e-3, 80)


def test_the_span_is_that_of_the_frames():
    assert Features().span == 400 + 499 * 160  # 25 ms and 499 shifts of 10 ms at 16 kHz
    assert Features(max_frames=1).span == 400
    assert Features(sample_rate=8000, max_frames=2).span == 200 + 80


def test_the_six_systems_are_those_of_section_4_4():
    systems = load_config(PAPER).systems
    said = {n: (s.input, s.conditions, s.alpha, s.beta, s.bridge) for n, s in systems.items()}
    assert said == {
        "baseline_c": ("noisy", "clean", 0, 0, False),
        "baseline_n": ("noisy", "all", 0, 0, False),
        "baseline_e": ("enhanced", "all", 0, 0, False),
        "trnet": ("both", "all", 0.5, 0.5, True),
        "trnet_wo_low": ("both", "all", 0.0, 0.5, True),
        "trnet_wo_high": ("both", "all", 0.5, 0.0, False),
    }
    assert [n for n, s in systems.items() if s.hears_front_end] == [
        "baseline_e",
        "trnet",
        "trnet_wo_low",
        "trnet_wo_high",
    ]
    assert [n for n, s in systems.items() if s.needs_teacher] == ["trnet", "trnet_wo_low"]


def test_release_yaml_changes_what_the_release_changes(tmp_path):
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump({"base": [str(PAPER), str(RELEASE)]}))
    paper, release = load_config(PAPER), load_config(both)
    features, encoder, training = release.features, release.encoder, release.training
    assert (features.window, features.low_freq, features.high_freq) == ("hamming", 0, 8000)
    assert (features.max_frames, features.pad) == (498, "repeat")
    assert (encoder.type, encoder.channels, encoder.dropout) == ("plain", [64, 128, 256, 512], 0.2)
    assert encoder.deltas and encoder.input_norm and encoder.kernel == 5
    assert (release.pooling.values, release.pooling.attention, release.pooling.clamp) == (256, 0, 10)
    assert (release.classifier.hidden, release.classifier.dropout) == (128, 0.3)
    assert (release.gate.snr_features, release.gate.gradient) == ("raw", "hardtanh")
    assert (training.max_epochs, training.patience, training.grad_clip) == (100, 50, 10)
    assert (training.plateau_patience, training.plateau_factor) == (15, 0.1)
    assert (training.train_conditions, training.valid_conditions, training.lr) == ("draw", "draw", 1e-3)
    assert (release.systems, release.simulation, release.frontend) == (paper.systems, paper.simulation, paper.frontend)


def test_every_recipe_has_an_experiment():
    assert PAPER in EXPERIMENTS
    with_recipe = {path.parts[-4] for path in EXPERIMENTS if path.name == "recipe.yaml"}
    assert {"iemocap", "nemo", "mini"} <= with_recipe


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parts[-4]}/{path.name}")
def test_every_experiment_loads_and_its_six_systems_run(path):
    config = load_config(path)
    assert set(SIX) <= set(config.systems)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 24, config.features.num_mel_bins, generator=generator)
    for system in config.systems.values():
        kinds = {kind: x + i for i, kind in enumerate(input_kinds(system))}
        batch = Batch((), torch.tensor([24, 17]), torch.tensor([0, 1]), **kinds)
        model = make_model(config, system, 4).eval()
        with torch.inference_mode():
            out = run_model(model, system, batch)
        assert out.logits.shape == (2, 4) and out.logits.isfinite().all()
        assert (out.c is not None) == (system.input == "both")


def test_an_unknown_system_is_named_with_the_nearest():
    with pytest.raises(TrnetError, match=re.escape("--systems trnett: no such system; did you mean 'trnet'?")):
        load_config(PAPER).system("trnett")


def test_a_front_end_of_ones_own_gives_a_folder_name_without_colon():
    assert Config(frontend="my.module:Enhancer").frontend_name == "my.module.Enhancer"


def test_a_system_that_hears_one_input_cannot_have_the_bridge():
    with pytest.raises(ValueError, match="input: both"):
        System(input="enhanced", bridge=True)
