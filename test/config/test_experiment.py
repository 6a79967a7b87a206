"""Configuration: what is wrong in a YAML is named, what is right builds the systems it says."""

from pathlib import Path

import pytest
import torch
import yaml
from upstreams import make_upstream

from trnet.config import Config, Fbank, System, Upstream, build, load_config
from trnet.features import feature_dim
from trnet.model.batch import Batch
from trnet.model.systems import make_system, run_system
from trnet.utils.errors import TrnetError

EGS = Path(__file__).parents[2] / "egs"
PAPER = EGS / "TEMPLATE/ser1/conf/paper.yaml"
RELEASE = EGS / "TEMPLATE/ser1/conf/release.yaml"
EXPERIMENTS = sorted(
    path
    for path in EGS.glob("*/ser1/conf/*.yaml")
    if not path.name.startswith(("contract", "labels")) and (path.parts[-4] != "TEMPLATE" or path == PAPER)
)
SIX = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frontent: none", ["'frontent'", "'frontend'"]),
        ("training: {batchsize: 4}", ["'training.batchsize'", "'batch_size'"]),
        ("systems: {mine: {input: both, alfa: 1}}", ["'systems.mine.alfa'", "'alpha'"]),
        ("features: {zzzzzz: 1}", ["'features.zzzzzz'", "num_mel_bins", "max_frames"]),
        ("training: {lr: fast}", ["training.lr: 'fast'"]),
        ("training: {max_epochs: 2.5}", ["training.max_epochs: 2.5"]),
        ("training: {max_epochs: true}", ["training.max_epochs: True"]),
        ("training: 3", ["training: ", "mapping", "3"]),
        ("training:", ["training: ", "mapping"]),
        ("systems:", ["systems: ", "mapping"]),
        ("systems: {x: }", ["systems.x: ", "mapping"]),
        ("systems: {../x: {}}", ["systems: '../x'"]),
        ("frontend: ../../x:y", ["frontend: '../../x:y'"]),
        ("frontend: [gtcrn]", ["frontend: ", "gtcrn"]),
        ("simulation: {snrs: 10}", ["simulation.snrs: ", "list", "10"]),
        ("simulation: {snrs: [10, loud]}", ["simulation.snrs[1]: 'loud'"]),
        ("simulation: {snrs: [10, 1e2, 101]}", ["simulation.snrs[2]: 101", "-100", "100"]),
        ("simulation: {snrs: [10, 10.0000001]}", ["simulation.snrs: 10 dB"]),
        ("simulation: {snrs: [10], test_snrs: [10]}", ["simulation.snrs: 10 dB"]),
        ("training: {optimizer: {lr: -1}}", ["training.optimizer.lr: -1"]),
        ("training: {schedule: {patience: 3}}", ["training.schedule.patience", "plateau", "constant"]),
        ("training: {schedule: {type: plateau, final: 0.1}}", ["training.schedule.final", "cosine"]),
        ("training: {schedule: {type: cosine}, plateau_patience: 3}", ["training.plateau_patience", "cosine"]),
        ("training: {schedule: {type: plateau}, plateau_factor: 0.5}", ["training.plateau_factor", "schedule.factor"]),
        ("simulation: {snrs: []}", ["simulation.snrs: "]),
        ("simulation: {train_noise: a/b}", ["simulation.train_noise: 'a/b'"]),
        ("encoder: {deltas: 1}", ["encoder.deltas: ", "true or false", "1"]),
        ("encoder: {channels: [8, 1000000000000]}", ["encoder.channels[1]: 1000000000000", "4096"]),
        ("encoder: {channels: []}", ["encoder.channels: "]),
        ("encoder: {kernel: 4}", ["encoder.kernel: 4", "odd"]),
        ("encoder: {dropout: 1}", ["encoder.dropout: 1"]),
        ("encoder: {type: transformer}", ["encoder.type: 'transformer'", "residual plain light ecapa_tdnn"]),
        ("encoder: transformer", ["encoder.type: 'transformer'"]),
        ("encoder: {type: 3}", ["encoder.type: '3'"]),
        ("encoder: 3", ["encoder: ", "3"]),
        ("encoder:", ["encoder: ", "None"]),
        ("encoder: {type: light, kernel: 4}", ["encoder.kernel: 4", "odd"]),
        ("encoder: {type: ecapa_tdnn, channels: 100}", ["encoder.channels: 100", "scale 8"]),
        ("pooling: {type: mean}", ["pooling.type: 'mean'", "attention statistics"]),
        ("features: {type: mfcc}", ["features.type: 'mfcc'", "fbank"]),
        ("frontend_conf: [1]", ["frontend_conf: ", "mapping"]),
        ("training: {precision: fp8}", ["training.precision: 'fp8'", "float32, bf16"]),
        ("training: {batch_size: 0}", ["training.batch_size: 0", "2"]),
        ("training: {optimizer: {type: sgd}}", ["training.optimizer.type: 'sgd'", "adam, adamw"]),
        ("training: {schedule: {type: linear}}", ["training.schedule.type: 'linear'", "cosine"]),
        ("training: {schedule: {warmup: 3}}", ["'training.schedule.warmup'", "'warmup_steps'"]),
        ("training: {plateau_patience: 3, schedule: {type: cosine}}", ["training.plateau_patience: ", "cosine"]),
        ("features: {compression: 2}", ["features.compression: 2", "3, 0"]),
        ("features: {max_frames: 0}", ["features.max_frames: 0"]),
        ("features: {low_freq: 9000}", ["features.low_freq: 9000"]),
        ("folds: {valid: random}", ["folds.valid: ", "speakers", "random", "same_group, next, texts"]),
        ("training: {ctc_weight: -1}", ["training.ctc_weight: -1"]),
        ("ctc: {vocab: 0}", ["ctc.vocab: 0"]),
        ("ctc: {model: word}", ["ctc.model: 'word'", "unigram, bpe, char"]),
        ("ctc: {tap: 0}", ["ctc.tap: 0"]),
        ("ctc: {tap: 3}", ["ctc.tap: ", "3 blocks", "8 log-mels", "at most 4", "tap 2"]),
        ("training: {ctc_weight: 1}\nencoder: {channels: [8]}", ["ctc.tap: 2", "1 "]),
        ("training: {ctc_weight: 1}\nencoder: light", ["training.ctc_weight: ", "light"]),
        ("training: {ctc_weight: 1}\nfeatures: {pad: repeat}", ["training.ctc_weight: ", "'features.pad: none'"]),
        ("gate: {snr_features: log}", ["gate.snr_features: 'log'", "centred, raw"]),
        ("gate: {mix: waveform}", ["gate.mix: ", "upstream", "fbank"]),
        (
            "gate: {resolution: band}\nfeatures: {type: upstream, model: x}",
            ["gate.resolution: ", "log-mels", "upstream"],
        ),
        ("gate: {reads: features}", ["gate.reads: ", "mels"]),
        ("gate: {mix: waveform, resolution: frame}", ["gate.mix: ", "'resolution: utterance'", "frame"]),
        ("gate: {mix: waveform, reads: features}", ["gate.mix: ", "'reads: mels'"]),
        ("systems: {x: {input: noisy, alpha: 0.5}}", ["systems.x.input: ", "alpha", "'input: both'"]),
        ("systems: {x: {input: noisy, model: trnet}}", ["systems.x.model: trnet", "'input: noisy'"]),
        ("systems: {x: {model: crnet}}", ["systems.x.model: 'crnet'", "ser, trnet"]),
        ("systems: {x: {options: {a: 1}}}", ["systems.x.options: "]),
        ("systems: {x: {losses: [low], alpha: 1}}", ["systems.x.losses: ", "alpha"]),
        ("systems: {x: {losses: [low, {type: high, name: low}]}}", ["systems.x.losses: ", "low"]),
        ("systems: {x: {losses: [focal]}}", ["systems.x.losses[0].type: 'focal'", "cross_entropy low high"]),
        ("systems: {x: {losses: [low, {type: high, weightt: 1}]}}", ["'systems.x.losses[1].weightt'", "'weight'"]),
        ("folds: {kind: groups, valid: next}", ["folds.count: 0"]),
        ("folds: {kind: groups, count: 5, valid: same_group}", ["folds.valid: ", "groups", "same_group", "next"]),
        ("folds: {kind: official, count: 3, valid: dev}", ["folds.count: 3", "groups"]),
        ("folds: {valid: next, shared_speakers: true}", ["folds.shared_speakers: ", "official"]),
        ("folds: {kind: everyone}", ["folds.kind: 'everyone'", "all"]),
        ("folds: {kind: [all]}", ["folds.kind: "]),
        ("folds: {kind: all, valid: next}", ["folds.valid: ", "all", "next", "none"]),
        ("folds: {kind: all, count: 3}", ["folds.count: 3", "groups"]),
        ("folds: {kind: all}\ntraining: {patience: 3}", ["training.patience: ", "all", "max_epochs"]),
        ("folds: {kind: all}\ntraining: {plateau_patience: 3}", ["training.plateau_patience: ", "nobody"]),
        ("folds: {kind: all}\ntraining: {schedule: {type: plateau}}", ["training.schedule.type: ", "cosine"]),
        (
            "folds: {kind: all}\ntraining: {plateau_patience: 0}\nfeatures: {type: upstream, model: x, layer: auto}",
            ["features.layer: auto", "folds.kind"],
        ),
        ("features: {type: upstream, model: x, layer: last}", ["features.layer: 'last'", "middle", "auto"]),
        ("features: {type: upstream, model: x, layer: -1}", ["features.layer: -1"]),
        ("features: {type: upstream, model: x, layer: [1, 1]}", ["features.layer: [1, 1]"]),
        ("features: {type: upstream, model: x, layer: [0, auto]}", ["features.layer: [0, 'auto']"]),
        ("features: {type: upstream, model: x, layer: []}", ["features.layer: []"]),
        ("- a\n- b", ["mapping"]),
        ("a: [1", ["YAML"]),
        ("base: nowhere.yaml", ["nowhere.yaml: "]),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_and_value(load, text, said):
    with pytest.raises(TrnetError) as caught:
        load(text)
    message = str(caught.value)
    assert ".yaml" in message and "\n" not in message
    assert [part for part in said if part not in message] == [], message


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
    with pytest.raises(TrnetError, match="training: "):
        load("training:", {"training": {"max_epochs": 3}})


def test_whole_numbers_are_taken_for_floats_but_not_the_reverse(load):
    config = load("training: {lr: 1}\nsimulation: {snrs: [5, -5]}")
    assert config.training.lr == 1.0 and isinstance(config.training.lr, float)
    assert config.simulation.snrs == [5.0, -5.0] and all(isinstance(s, float) for s in config.simulation.snrs)


def test_paper_yaml_says_the_defaults():
    config = load_config(PAPER)
    assert config.replace(systems={}) == Config()
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
    assert Fbank().span == 400 + 499 * 160  # 25 ms and 499 shifts of 10 ms at 16 kHz
    assert Fbank(max_frames=1).span == 400
    assert Fbank(sample_rate=8000, max_frames=2).span == 200 + 80


def test_the_six_systems_are_those_of_section_4_4():
    config = load_config(PAPER)
    systems = config.systems
    said = {n: (s.input, s.conditions, s.alpha, s.beta, s.bridge) for n, s in systems.items()}
    assert said == {
        "baseline_c": ("noisy", "clean", 0, 0, False),
        "baseline_n": ("noisy", "all", 0, 0, False),
        "baseline_e": ("enhanced", "all", 0, 0, False),
        "trnet": ("both", "all", 0.5, 0.5, True),
        "trnet_wo_low": ("both", "all", 0.0, 0.5, True),
        "trnet_wo_high": ("both", "all", 0.5, 0.0, False),
    }
    assert [n for n, s in systems.items() if s.uses_frontend] == [
        "baseline_e",
        "trnet",
        "trnet_wo_low",
        "trnet_wo_high",
    ]
    assert [n for n in systems if config.needs_teacher(n)] == ["trnet", "trnet_wo_low"]


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
def test_every_experiment_loads_and_its_six_systems_run(path, tmp_path):
    config = load_config(path)
    assert set(SIX) <= set(config.systems)
    generator = torch.Generator().manual_seed(1)
    if isinstance(config.features, Upstream):  # whose weights are not here
        assert "/" in config.features.model
        tiny = make_upstream("whisper", tmp_path / "net")
        config = config.replace(features=config.features.replace(model=str(tiny)))
    lengths = torch.tensor([24, 17])
    x, mels = (torch.randn(2, 24, dim, generator=generator) for dim in (feature_dim(config.features), 80))
    for name, system in config.systems.items():
        model = make_system(config.model(name), 4).eval()
        assert model.inputs == system.inputs
        kinds = {kind: x + i for i, kind in enumerate(system.inputs)}
        if config.model(name).gate_features is not None:
            kinds |= {"noisy_mels": mels, "enhanced_mels": mels + 1, "mel_lengths": lengths}
        with torch.inference_mode():
            out = run_system(model, Batch((), lengths, torch.tensor([0, 1]), **kinds))
        assert out.logits.shape == (2, 4) and out.logits.isfinite().all()
        assert (out.c is not None) == (system.input == "both")


def test_waveforms_are_mixed_by_trnet_alone(load):
    text = "features: {type: upstream, model: net}\ngate: {mix: waveform}\nsystems: {a: {}, b: {input: noisy}}"
    config = load(text)
    assert config.mixes_waveforms("a") and not config.mixes_waveforms("b")
    assert "mix" not in load("gate: {mix: features}").gate.record()


def test_an_unknown_system_is_named_with_the_nearest():
    with pytest.raises(TrnetError, match="--systems trnett: .*'trnet'"):
        load_config(PAPER).system("trnett")


def test_a_front_end_of_ones_own_gives_a_folder_name_without_colon():
    assert Config(frontend="my.module:Enhancer").frontend_name == "my.module.Enhancer"


def test_a_system_that_hears_one_input_cannot_have_the_bridge():
    with pytest.raises(TrnetError, match="input"):
        build(System, {"input": "enhanced", "bridge": True})
