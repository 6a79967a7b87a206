"""Which runs there are, where they lie, who shares a trajectory, and what their stamps hold."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import SETS
from training import is_finished, run_of, train

from trnet.bin import enhance, make_fbank
from trnet.bin import train as train_command
from trnet.config import Upstream
from trnet.kaldi.data_dir import DataDir
from trnet.runs.experiment import Experiment


def test_no_system_is_trained_on_the_unmatched_noise(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    for name in experiment.config.systems:
        noises = {condition.noise for condition in experiment.conditions(name)}
        assert noises == ({None} if name == "baseline_c" else {None, "esc"})


def test_snrs_that_are_only_tested_are_not_trained_on(tiny, tmp_path):
    config = tiny.config.replace(simulation=tiny.config.simulation.replace(test_snrs=[-5.0]))
    conditions = Experiment(config, tiny.data, tiny.dump, tmp_path).conditions("trnet")
    assert {condition.snr_db for condition in conditions} == {None, 10, 0}


def test_systems_without_the_front_end_are_shared_and_linked(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    fold = experiment.dataset.folds[0]
    assert experiment.run("baseline_c", fold, 2).folder == tmp_path / "raw/baseline_c/fold1_seed2"
    assert experiment.run("baseline_n", fold, 1).folder.parts[-3:] == ("raw", "baseline_n", "fold1_seed1")
    assert experiment.run("trnet", fold, 1).folder == tmp_path / "none/trnet/fold1_seed1"
    other = Experiment(experiment.config.replace(frontend="gtcrn"), tiny.data, tiny.dump, tmp_path)
    stamps = [each.stamp(each.run("baseline_n", fold, 1)).made_from for each in (experiment, other)]
    assert stamps[0] == stamps[1]
    assert other.run("trnet", fold, 1).folder == tmp_path / "gtcrn/trnet/fold1_seed1"
    experiment.link_shared_systems(["baseline_n", "trnet"])
    experiment.link_shared_systems(["baseline_n", "trnet"])
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["baseline_n"]
    assert (tmp_path / "none/baseline_n").readlink() == Path("../raw/baseline_n")


def test_who_shares_a_trajectory(tiny, tmp_path):
    """Not those with a teacher of their own, nor those whose learning rate follows their own validation."""
    names = ["baseline_n", "trnet", "trnet_wo_high"]
    experiment = tiny.experiment(tmp_path, plateau_patience=0)
    groups = experiment.groups(experiment.runs(names, experiment.dataset.folds, [1, 2]))
    sizes = {n: [len(g) for g in groups if g[0].system == n and g[0].seed == 1] for n in names}
    assert sizes == {"baseline_n": [2, 2, 2], "trnet": [1] * 6, "trnet_wo_high": [2, 2, 2]}
    assert {(run.system, run.fold.number, run.seed) for group in groups for run in group} == {
        (name, number, seed) for name in names for number in range(1, 7) for seed in (1, 2)
    }
    assert [group[0].fold.number for group in groups] == sorted(group[0].fold.number for group in groups)
    for training in ({"plateau_patience": 2}, {"plateau_patience": 0, "schedule": {"type": "plateau"}}):
        plateau = tiny.experiment(tmp_path, **training)
        runs = plateau.runs(names, plateau.dataset.folds, [1])
        assert all(len(group) == 1 for group in plateau.groups(runs))


def test_folds_of_two_layers_share_no_trajectory(tiny, tmp_path):
    """Nor does any group; those of one layer come one after the other."""
    fixed = tiny.experiment(tmp_path, plateau_patience=0)
    config = fixed.config.replace(features=Upstream(model="net", layer="auto"))
    layers = {1: 2, 2: 2, 3: 5, 4: "middle", 5: "middle", 6: 2}
    experiment = replace(fixed, config=config, layers=layers)
    groups = experiment.groups(experiment.runs(["baseline_n"], experiment.dataset.folds, [1]))
    found = [[run.fold.number for run in group] for group in groups]
    assert found == [[1, 2], [6], [3], [4], [5]]
    folds = experiment.dataset.folds
    assert [(part.config.features.layer, [fold.number for fold in mine]) for part, mine in experiment.parts(folds)] == [
        (2, [1, 2, 6]),
        (5, [3]),
        ("middle", [4, 5]),
    ]
    assert experiment.of(folds[5]) is experiment.of(folds[0]) and fixed.of(folds[0]) is fixed


def test_a_run_has_a_title_and_is_a_value(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    run, again = (experiment.run("trnet", experiment.dataset.folds[1], 3) for _ in range(2))
    assert run == again and hash(run) == hash(again) and run.title == "trnet fold 2 seed 3"


@pytest.mark.slow
def test_the_stamp_says_what_a_run_was_made_from(tiny, tmp_path):
    session = tiny.session(tmp_path, max_epochs=1)
    run = train(session, "baseline_e")
    made_from = json.loads((run.folder / ".train.json").read_text())["made_from"]
    assert set(made_from["features"]) == {"none/tiny", "none/tiny_esc_0db", "none/tiny_esc_10db"}
    assert "max_epochs" not in made_from["training"] and made_from["seed"] == 1
    keys = "system fold seed labels training features encoder pooling classifier"
    assert sorted(made_from) == sorted(keys.split())
    gated = session.experiment.stamp(run_of(session, "trnet_wo_high", 2)).made_from
    assert sorted(gated) == sorted([*keys.split(), "gate", "target", "draws"])


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"encoder": {"kernel": 5, "channels": [8, 8], "dropout": 0.1}}, {"encoder"}),
        ({"gate": {"lr": 0.1}}, {"gate"}),
        ({"classifier": {"dropout": 0.1}}, {"classifier"}),
        ({"pooling": {"type": "statistics", "attention": 8}}, {"pooling"}),
        ({"ctc": {"vocab": 7}}, set()),
        ({"training": {"max_epochs": 9, "patience": 3}}, None),
        ({"folds": {"valid": "next"}}, {"fold"}),
    ],
)
def test_what_a_changed_setting_changes(tiny, tmp_path, change, keys):
    def made_from(config):
        experiment = Experiment(config, tiny.data, tiny.dump, tmp_path)
        return experiment.stamp(experiment.run("trnet_wo_high", experiment.dataset.folds[1], 1)).made_from

    changed = dict(change)
    if "training" in change:
        changed["training"] = tiny.config.training.replace(**change["training"])
    first, second = made_from(tiny.config), made_from(tiny.config.replace(**changed))
    different = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    assert different - {"draws"} == (keys or set())


@pytest.mark.slow
def test_features_made_again_from_moved_audio_do_not_train_anew(tiny, tmp_path):
    """Runs hang on the features themselves, not on where the audio lay or how its folder was checked."""
    session = tiny.session(tmp_path / "exp", max_epochs=1)
    train(session, "baseline_e")
    root = tmp_path / "elsewhere"
    for name in SETS:
        shutil.copytree(tiny.root / "data" / name, root / "data" / name)
        table = root / "data" / name / "wav.scp"
        table.write_text(table.read_text().replace(str(tiny.root / "data"), str(root / "data")))
    shutil.copytree(tiny.root / "data/downloads", root / "data/downloads")
    sets = ["--sets", " ".join(str(root / "data" / name) for name in SETS), "--dump", str(root / "dump")]
    config = ["--config", str(tiny.config_path)]
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    moved = Experiment(session.experiment.config, DataDir(root / "data/tiny"), root / "dump", tmp_path / "exp")
    assert moved.finished(moved.run("baseline_e", moved.dataset.folds[0], 1)) is not None
    assert is_finished(session, "baseline_e")


def test_a_part_without_any_of_the_systems_is_reported(tiny, tmp_path, capsys):
    runs = [*tiny.folders(), "--exp", str(tmp_path)]
    assert train_command.main([*runs, "--systems", "baseline_c"]) == 0
    assert "--part teacher" in capsys.readouterr().out
    assert train_command.main([*runs, "--systems", "baseline_n", "--part", "teacher"]) == 0
    assert "--part teacher: nothing to train" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.pt"))
