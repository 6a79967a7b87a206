"""`features.layer: auto`: stage 4 chooses a layer for each fold; later stages do what they do for that number."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import soundfile
import yaml
from lines import assert_names
from near import ANSWER
from tiny import CONFIG, SETS, Tiny
from training import same_outcome
from upstreams import make_upstream

import trnet
from trnet.bin import calibrate, make_fbank, pack, probe_layers, score, train
from trnet.eval import run_report
from trnet.eval.report_data import ReportData
from trnet.folds import Fold
from trnet.kaldi.data_dir import DataDir
from trnet.probe import choice
from trnet.runs.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow  # the module as a whole

LAYER_OF = {1: "2", 2: "2", 3: "5", 4: "middle", 5: "2", 6: "2"}
HEAD = {
    "encoder": {"type": "light", "channels": 8, "layers": 1},
    "pooling": {"type": "statistics", "attention": 4},
    "gate": {"features": {"num_mel_bins": 24}},
}
SYSTEMS = ["--systems", "baseline_c trnet"]


def scores_for(layers: dict[int, str]):
    """What stands for `score_layers`: the best of a fold is the layer named."""

    def score_layers(_dataset, statistics, folds: list[Fold], _threads) -> pd.DataFrame:
        names = next(iter(statistics.values())).layers
        rows = [
            (fold.number, fold.valid_speaker, name, 1e-3, condition.name, 90.0 if name == layers[fold.number] else 50.0)
            for fold in folds
            for name in names
            for condition in statistics
        ]
        return pd.DataFrame(rows, columns=["fold", "valid_speaker", "layer", "cost", "condition", "uar"])

    return score_layers


@dataclass(frozen=True)
class Auto:
    """An experiment with layer `auto`: its folder with YAML and dump, and the data of the tiny corpus."""

    root: Path
    data: Path
    exp: Path

    @property
    def config(self) -> list[str]:
        return ["--config", str(self.root / "auto.yaml")]

    @property
    def dump(self) -> Path:
        return self.root / "dump"

    @property
    def options(self) -> list[str]:
        """What stages 5 to 7 are called with."""
        return [
            *self.config,
            "--corpus-data",
            str(self.data / "tiny"),
            "--dump",
            str(self.dump),
            "--exp",
            str(self.exp),
        ]

    @property
    def stage4(self) -> list[str]:
        return [*self.options, "--sets", " ".join(str(self.data / name) for name in SETS)]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Probes that prefer LAYER_OF; pictures, t-SNE and audio have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "score_layers", scores_for(LAYER_OF))
        patch.setattr("trnet.eval.plots.png", lambda plots, title, *_, **__: "|".join([title, *plots]).encode())
        patch.setattr("trnet.eval.html_report.svg", lambda *_: "<svg/>")
        patch.setattr(run_report, "gather_report_data", lambda *_: ReportData())
        yield


@pytest.fixture(scope="module")
def dumped(tiny: Tiny, tmp_path_factory, quick) -> Auto:
    """After stage 4; not to be changed."""
    root = tmp_path_factory.mktemp("auto")
    features = {"type": "upstream", "model": str(make_upstream("whisper", root / "net")), "layer": "auto"}
    training = CONFIG["training"] | {"max_epochs": 2}
    (root / "auto.yaml").write_text(yaml.safe_dump({**CONFIG, **HEAD, "features": features, "training": training}))
    shutil.copytree(tiny.dump, root / "dump")
    auto = Auto(root, tiny.root / "data", root / "exp")
    assert make_fbank.main(auto.stage4) == 0
    return auto


@pytest.fixture(scope="module")
def trained(dumped: Auto) -> Auto:
    """After stages 5 to 7 of folds 1 and 3, whose layers are 2 and 5; not to be changed."""
    options = [*dumped.options, *SYSTEMS, "--folds", "1 3"]
    assert train.main([*options, "--part", "teacher"]) == train.main(options) == 0
    stage7 = ["--noises", "esc", "--resamples", "100", "--permutations", "100"]
    assert score.main([*options, *stage7]) == pack.main([*dumped.options, "--folds", "3"]) == 0
    return dumped


def elsewhere(auto: Auto, exp: Path) -> Auto:
    """The experiment in another folder, with the layers that were chosen."""
    shutil.copytree(auto.exp / "probe", exp / "probe")
    return Auto(auto.root, auto.data, exp)


def run_folder(exp: Path, system: str, fold: int) -> Path:
    return exp / ("none" if system == "trnet" else "raw") / system / f"fold{fold}_seed1"


def outcome(folder: Path) -> tuple:
    return load_checkpoint(folder / "best.pt"), load_checkpoint(folder / "last.pt"), folder / "history.csv"


def test_stage_4_writes_the_layer_of_each_fold_and_dumps_each_layer_once(dumped):
    with open(dumped.exp / "probe/layer_of_fold.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["fold"]): row["layer"] for row in rows} == LAYER_OF
    assert [row["valid_speaker"] for row in rows] == ["S1M", "S1F", "S2M", "S2F", "S3M", "S3F"]
    layers = {"net_2", "net_5", "net_middle"}
    assert {path.name for path in dumped.dump.glob("[!.]*")} == {"raw", "none", "net_layers", *layers}
    for layer in layers:
        assert {path.parent.name for path in (dumped.dump / layer).glob("*/*/feats.ark")} == set(SETS)
    before = {path: path.stat().st_mtime_ns for path in dumped.root.rglob("*") if path.is_file()}
    assert make_fbank.main(dumped.stage4) == 0
    after = {path: path.stat().st_mtime_ns for path in dumped.root.rglob("*") if path.is_file()}
    assert {path.suffix for path in after if before.get(path) != after[path]} <= {".lock"}


def test_shards_dump_what_was_chosen(dumped, tmp_path):
    auto = elsewhere(dumped, tmp_path / "exp")
    options = ["--dump", str(tmp_path / "dump"), "--shard", "3/6"]
    shutil.copytree(dumped.dump / "none", tmp_path / "dump/none")
    assert make_fbank.main([*auto.stage4, *options]) == 0
    assert {str(path.parent.relative_to(tmp_path / "dump")) for path in tmp_path.glob("dump/net*/**/feats.ark")} == {
        f"{layer}/raw/tiny_esc_10db" for layer in ("net_2", "net_5", "net_middle")
    }


def test_a_run_is_the_very_run_of_an_experiment_with_its_number(trained, tmp_path, capsys):
    exp = tmp_path / "exp"
    number = [*trained.options, "--exp", str(exp), "--set", "features.layer=5", "--folds", "3", *SYSTEMS]
    assert train.main([*number, "--part", "teacher"]) == train.main(number) == 0
    assert score.main([*number, "--noises", "esc", "--resamples", "100", "--permutations", "100"]) == 0
    for system in ("baseline_c", "trnet"):
        mine, theirs = (run_folder(each, system, 3) for each in (trained.exp, exp))
        assert same_outcome(outcome(mine), outcome(theirs))
        assert (mine / "predictions.csv").read_text() == (theirs / "predictions.csv").read_text()
        assert (mine / ".train.json").read_text() == (theirs / ".train.json").read_text()
        settings = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (mine, theirs)]
        assert settings[0] == settings[1] and settings[0]["features"]["layer"] == 5
    other = run_folder(trained.exp, "trnet", 1)
    assert yaml.safe_load((other / "config.yaml").read_text())["features"]["layer"] == 2
    assert json.loads((other / "run.json").read_text())["layer"] == "auto"
    capsys.readouterr()
    again = ["--config", str(run_folder(trained.exp, "trnet", 3) / "config.yaml"), *trained.options[2:]]
    assert train.main([*again, "--folds", "3", *SYSTEMS]) == 0
    assert "fold3_seed1: up to date" in capsys.readouterr().out


def test_waveforms_are_mixed_for_the_layer_of_a_fold(dumped, tmp_path):
    found = []
    for layer in ("auto", "5"):
        auto = elsewhere(dumped, tmp_path / layer)
        options = [*auto.options, "--set", f"gate.mix=waveform features.layer={layer}", "--folds", "1 3", *SYSTEMS]
        assert train.main([*options, "--part", "teacher"]) == train.main(options) == 0
        assert score.main([*options, "--noises", "esc", "--resamples", "100", "--permutations", "100"]) == 0
        folder = run_folder(auto.exp, "trnet", 3)
        found.append((outcome(folder), (folder / "predictions.csv").read_text()))
    assert same_outcome(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    words = ["--noises", "esc", "--resamples", "100", "--permutations", "100"]
    assert score.main([*options, *words, "--test-corpus", str(as_port(dumped, tmp_path))]) == 0
    rows = [row for row in csv.DictReader((folder / "predictions_port.csv").open()) if row["utt_id"][:3] == "S2F"]
    mine = list(csv.DictReader((folder / "predictions.csv").open()))
    assert len(rows) == len(mine) == 8 * 3
    for one, other in zip(rows, mine, strict=True):
        assert one["utt_id"] == other["utt_id"]
        for column in ("c", "ang", "hap", "neu", "sad"):
            assert float(one[column]) == pytest.approx(float(other[column]), abs=ANSWER)


def test_what_is_finished_is_not_done_again(trained, capsys):
    options = [*trained.options, *SYSTEMS, "--folds", "1 3"]
    before = {path: path.stat().st_mtime_ns for path in trained.exp.rglob("*.pt")}
    capsys.readouterr()
    assert train.main([*options, "--part", "teacher"]) == train.main(options) == 0
    assert score.main([*options, "--noises", "esc", "--resamples", "100", "--permutations", "100"]) == 0
    assert capsys.readouterr().out.count("up to date") == 4 + 1
    assert before == {path: path.stat().st_mtime_ns for path in trained.exp.rglob("*.pt")}


def test_the_report_says_which_layer_each_fold_has(trained):
    assert "1:2 3:5" in (trained.exp / "none/RESULTS.md").read_text()


def test_a_packed_model_predicts_what_stage_7_predicted(trained):
    model = trained.exp / "none/trnet_fold3_seed1.zip"
    predictor = trnet.Predictor.from_pretrained(model, upstream=str(trained.root / "net"))
    data = DataDir(trained.data / "tiny")
    with open(run_folder(trained.exp, "trnet", 3) / "predictions.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["noise"] == "clean"]
    assert {row["utt_id"][:3] for row in rows} == {"S2F"}
    for row in rows:
        found = predictor(*soundfile.read(data.clip(row["utt_id"]).path, dtype="float32"))
        assert found.probabilities == pytest.approx(
            {name: float(row[name]) for name in found.probabilities}, abs=ANSWER
        )


def as_port(auto: Auto, root: Path) -> Path:
    """The data dir of a copy of the corpus under another name, its noisy sets and dumps beside it."""
    for folder in (auto.data, auto.dump):
        for path in sorted(path for path in folder.rglob("tiny*") if path.is_dir()):
            copy = root / folder.name / path.relative_to(folder).with_name(path.name.replace("tiny", "port"))
            shutil.copytree(path, copy)
    return root / "data/port"


def test_another_corpus_is_read_at_the_layer_of_each_fold(trained, tmp_path):
    """Here a copy of the same one, of which the first speaker's part is known."""
    auto = Auto(trained.root, trained.data, tmp_path / "exp")
    shutil.copytree(trained.exp, auto.exp, symlinks=True)
    options = [*auto.options, *SYSTEMS, "--folds", "1 3", "--noises", "esc", "--resamples", "100"]
    words = ["--permutations", "100", "--test-corpus", str(as_port(trained, tmp_path))]
    assert score.main([*options, *words]) == 0
    for fold in (1, 3):
        folder = run_folder(auto.exp, "trnet", fold)
        keys = ["noise", "snr_db", "utt_id"]
        there = pd.read_csv(folder / "predictions_port.csv").set_index(keys)
        mine = pd.read_csv(folder / "predictions.csv").set_index(keys)
        assert len(there) == 48 * 3 and len(mine) == 8 * 3
        columns = ["c", "ang", "hap", "neu", "sad"]
        pd.testing.assert_frame_equal(there.loc[mine.index, columns], mine[columns], rtol=0, atol=ANSWER)


def test_folds_of_several_layers_are_calibrated_together(trained, capsys):
    assert calibrate.main([*trained.options, "--folds", "1 3", "--out", str(trained.root / "calibration.json")]) == 0
    assert "2 validation speakers" in capsys.readouterr().out


def test_the_linear_probe_reads_each_folds_own_layer(trained, tmp_path):
    words = ["--test", "true", "--noises", "esc", "--folds"]
    auto = elsewhere(trained, tmp_path / "auto")
    assert probe_layers.main([*auto.options, *words, "1 3"]) == 0
    (together,) = (pd.read_csv(auto.exp / "probe/linear_probe.csv"),)
    for fold, layer in ((1, 2), (3, 5)):
        exp = tmp_path / f"exp{layer}"
        options = [*trained.options, "--exp", str(exp), "--set", f"features.layer={layer}"]
        assert probe_layers.main([*options, *words, str(fold)]) == 0
        mine = together[together["fold"] == fold].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, pd.read_csv(exp / "probe/linear_probe.csv"))


def test_another_choice_moves_its_own_runs_aside_alone(trained, tmp_path, monkeypatch):
    auto = Auto(trained.root, trained.data, tmp_path / "exp")
    shutil.copytree(trained.exp, auto.exp, symlinks=True)
    monkeypatch.setattr(choice, "score_layers", scores_for(LAYER_OF | {3: "2"}))
    (auto.exp / "probe/layer_of_fold.csv").write_text("fold,valid_speaker,layer\n")  # is made again
    assert make_fbank.main(auto.stage4) == 0
    before = (run_folder(auto.exp, "baseline_c", 1) / "last.pt").stat().st_mtime_ns
    assert train.main([*auto.options, "--folds", "1 3", *SYSTEMS, "--part", "teacher"]) == 0
    assert (run_folder(auto.exp, "baseline_c", 1) / "last.pt").stat().st_mtime_ns == before
    folders = sorted(path.name for path in (auto.exp / "raw/baseline_c").iterdir() if not path.name.startswith("."))
    assert len(folders) == 3 and folders[:2] == ["fold1_seed1", "fold3_seed1"] and "fold3_seed1." in folders[2]
    settings = yaml.safe_load((run_folder(auto.exp, "baseline_c", 3) / "config.yaml").read_text())
    assert settings["features"]["layer"] == 2


STAGE5 = ["--part", "teacher", *SYSTEMS]


def test_layers_that_are_not_chosen_are_one_line(dumped, tmp_path, fails):
    auto = Auto(dumped.root, dumped.data, tmp_path / "exp")
    missing = "layer_of_fold.csv features.layer stage 4"
    assert_names(fails(train.main, [*auto.options, *STAGE5]), missing)
    assert_names(fails(score.main, [*auto.options, "--noises", "esc"]), missing)
    assert_names(fails(pack.main, auto.options), missing)
    assert_names(fails(probe_layers.main, [*auto.options, "--test", "true", "--noises", "esc"]), missing)
    assert_names(fails(make_fbank.main, [*auto.stage4, "--shard", "1/2"]), f"{missing} --shard")


def test_stage_4_without_the_corpus_is_one_line(dumped, fails):
    words = [*dumped.config, "--dump", str(dumped.dump), "--sets", str(dumped.data / "tiny")]
    assert_names(fails(make_fbank.main, words), "--corpus-data auto")


def test_a_fold_that_has_no_layer_is_one_line_until_stage_4(dumped, tmp_path, fails):
    auto = Auto(dumped.root, dumped.data, tmp_path / "exp")
    assert probe_layers.main([*auto.options, "--folds", "1 2"]) == 0
    line = "layer_of_fold.csv fold 3"
    assert_names(fails(train.main, [*auto.options, *STAGE5, "--folds", "1 3"]), line)
    assert_names(fails(score.main, [*auto.options, "--noises", "esc"]), line)
    assert_names(fails(make_fbank.main, [*auto.stage4, "--shard", "1/2"]), line)
    assert train.main([*auto.options, *STAGE5, "--folds", "1", "--max-epochs", "1"]) == 0
    assert make_fbank.main(auto.stage4) == 0
    assert len((auto.exp / "probe/layer_of_fold.csv").read_text().splitlines()) == 1 + 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--snrs", "0"], "conditions"),
        (["--set", "features.max_seconds=0.4"], "network"),
        (["--set", "folds.valid=next"], "folds"),
    ],
)
def test_layers_chosen_from_something_else_are_one_line(dumped, fails, words, message):
    line = fails(train.main, [*dumped.options, *STAGE5, *words])
    assert_names(line, f"layer_of_fold.csv {message} stage 4")


def test_layers_of_another_network_are_one_line(dumped, tmp_path, fails):
    other = make_upstream("whisper", tmp_path / "net", seed=1)
    line = fails(train.main, [*dumped.options, *STAGE5, "--set", f"features.model={other}"])
    assert_names(line, "layer_of_fold.csv network")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "folds.kind=all training.plateau_patience=0"], "features.layer auto folds.kind"),
        (["--set", "features={type: fbank, layer: auto}"], "features.layer"),
        (["--set", "features.layer=last"], "features.layer auto"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(dumped, fails, words, message):
    for main, options in ((make_fbank.main, dumped.stage4), (train.main, [*dumped.options, *STAGE5])):
        assert_names(fails(main, [*options, *words]), message)
