"""Entry points: what is wrong is one line and a status that is not 0; what is right runs from waves to scores."""

import csv
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lines import assert_names
from started_python import python
from tiny import CONFIG, SETS, hiss, noise_dir, speech_dir
from upstreams import DIM, make_upstream

from trnet.bin import (
    check_setup,
    count_corpus,
    enhance,
    list_sets,
    make_fbank,
    prepare_corpus,
    prepare_noise,
    score,
    simulate,
    train,
)
from trnet.config import load_config
from trnet.corpora.contract import read_contract

VERBS = ("bench_frontend", "check_setup", "enhance", "list_sets", "make_fbank", "prepare_corpus", "prepare_noise")
VERBS += (
    "count_corpus",
    "score",
    "simulate",
    "train",
    "validate_data_dir",
    "check_frontend",
    "pack",
    "predict",
    "export",
    "push",
    "demo",
    "add_system",
    "probe_layers",
)

HALF = """from trnet.frontend import FrontEnd


class Half(FrontEnd):
    def enhance_equal(self, wav):
        return wav / 2
"""


@pytest.fixture
def broken(tmp_path):
    """A folder with conf.yaml and data dirs whose wav.scp names one file that is not there."""
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(CONFIG))
    speech_dir(tmp_path / "data", "tiny", {"S1F-ang_1": hiss(1, 4000), "S2F-neu_1": hiss(2, 4000)})
    noise_dir(tmp_path / "data", "esc", {"a-1": hiss(3, 4000), "b-1": hiss(4, 4000)})
    (tmp_path / "data/downloads/tiny/S2F-neu_1.wav").unlink()
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_a_parser_and_help(verb, capsys):
    module = importlib.import_module(f"trnet.bin.{verb}")
    with pytest.raises(SystemExit) as caught:
        module.main(["--help"])
    assert caught.value.code == 0 and "usage:" in capsys.readouterr().out
    assert module.get_parser() is not None


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_named(verb, fails):
    needed = {
        "bench_frontend": [],
        "check_setup": ["--config", "c", "--folders", "a=b"],
        "prepare_corpus": ["--corpus", "nemo", "--root", "r", "--out", "o", "--labels", "l", "--contract", "none"],
        "prepare_noise": ["--noise", "esc", "--root", "r", "--out", "o"],
        "validate_data_dir": ["somewhere"],
        "count_corpus": ["somewhere"],
        "predict": ["model.zip", "a.wav"],
        "demo": ["model.zip"],
        "export": ["model.zip", "--out", "o"],
        "push": ["model.zip", "folder"],
        "enhance": ["--config", "c", "--sets", "s"],
        "check_frontend": ["--config", "c", "--sets", "s"],
        "make_fbank": ["--config", "c", "--sets", "s"],
        "add_system": ["--config", "c", "--corpus-data", "d", "--name", "n", "--predictions", "p"],
        "probe_layers": ["--config", "c", "--corpus-data", "d"],
    }.get(
        verb,
        [
            "--config",
            "c",
            "--corpus-data",
            "d",
            *(["--noises", "n"] if verb not in ("train", "pack", "probe_layers") else []),
        ],
    )
    line = fails(importlib.import_module(f"trnet.bin.{verb}").main, [*needed, "--outt", "x"])
    assert "--outt" in line


def test_the_nearest_option_is_offered(tiny, fails):
    assert_names(fails(train.main, [*tiny.folders(), "--max-epoch", "3"]), "trnet.bin.train --max-epoch '--max-epochs'")


@pytest.mark.parametrize(
    ("main", "options", "message"),
    [
        (train.main, ["--folds", "11"], "--folds 11 6"),
        (train.main, ["--folds", "1 0"], "--folds 0 1"),
        (train.main, ["--folds", "one"], "--folds 'one'"),
        (train.main, ["--seeds", "1 x"], "--seeds 'x'"),
        (train.main, ["--systems", "trnett"], "--systems trnett 'trnet'"),
        (train.main, ["--frontend", "gtcrm"], "dump/gtcrm/tiny"),
        (train.main, ["--max-epochs", "0"], "--max-epochs 0 1"),
        (train.main, ["--snrs", "7"], "tiny_esc_7db"),
        (train.main, ["--snrs", "loud"], "--snrs 'loud'"),
        (train.main, ["--part", "teachers"], "--part 'teachers'"),
        (train.main, ["--part", "others", "--systems", "trnet"], "teacher fold 1 seed stage 5"),
        (score.main, ["--noises", "esc", "--systems", "x"], "--systems x"),
        (score.main, ["--noises", "esc", "--folds", "7"], "--folds 7 6"),
        (score.main, ["--noises", "esc"], "fold1_seed1: trained --folds"),
        (score.main, ["--noises", "my_noise"], "--noises 'my_noise'"),
        (score.main, [], "required --noises"),
    ],
)
def test_what_is_wrong_with_a_run_is_one_line(tiny, tmp_path, fails, main, options, message):
    exp = tmp_path / "exp"
    assert_names(fails(main, [*tiny.folders(), "--exp", str(exp), *options]), message)
    assert not list(exp.rglob("*.pt"))


def test_curves_for_a_package_that_is_not_installed_are_refused_at_once(tiny, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    nowhere = ["--config", "none.yaml", "--corpus-data", str(tiny.data.path)]
    assert "--wandb: the package wandb is not installed" in fails(train.main, [*nowhere, "--wandb", "p"])


def test_a_gpu_that_is_not_there_is_named(tiny, fails, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert_names(fails(train.main, [*tiny.folders(), "--ngpu", "1"]), "--ngpu 1 GPU")


@pytest.mark.parametrize("name", ["no.yaml", "folder"])
def test_a_configuration_that_is_not_there_is_named(tiny, tmp_path, fails, name):
    (tmp_path / "folder").mkdir()
    args = ["--config", str(tmp_path / name), "--corpus-data", str(tiny.data.path), "--noises", "esc"]
    assert f"{name}: " in fails(list_sets.main, args)


def test_a_data_dir_that_is_not_there_is_named(tiny, fails):
    args = ["--config", str(tiny.config_path), "--corpus-data", "data/nowhere"]
    for main in (train.main, simulate.main):
        needed = ["--noises", "esc"] if main is simulate.main else []
        assert_names(fails(main, [*args, *needed]), "data/nowhere stage")


def test_a_noise_set_that_was_not_prepared_is_named(tiny, fails):
    args = ["--config", str(tiny.config_path), "--corpus-data", str(tiny.data.path), "--noises", "rain"]
    assert "noise_rain: " in fails(simulate.main, args)


def test_a_line_of_wav_scp_that_leads_nowhere_is_named_by_each_stage(broken, fails, partials):
    config = ["--config", str(broken / "conf.yaml")]
    corpus = str(broken / "data/tiny")
    sets = [*config, "--sets", corpus, "--dump", str(broken / "dump")]
    for main, args in (
        (simulate.main, [*config, "--corpus-data", corpus, "--noises", "esc"]),
        (enhance.main, sets),
    ):
        assert "S2F-neu_1.wav" in fails(main, args)
    out = broken / "dump/none/tiny"
    shutil.copytree(corpus, out, dirs_exist_ok=True)
    assert "S2F-neu_1.wav" in fails(make_fbank.main, sets)
    assert not partials(broken) and not list(broken.rglob("feats*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("gtcrm", "'gtcrm' 'gtcrn'"), ("no.module:X", "no.module")],
)
def test_an_unknown_front_end_is_named(tiny, tmp_path, fails, name, message):
    config = ["--config", str(tiny.config_path), "--frontend", name]
    for main, args in (
        (enhance.main, ["--sets", str(tiny.data.path), "--dump", str(tmp_path)]),
        (check_setup.main, ["--folders", f"nonspeech={tmp_path.parent}"]),
    ):
        assert_names(fails(main, [*config, *args]), message)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ("nemo={0}/none", "none: nEMO --corpus-dir"),
        ("nemo={0}/..", "nEMO data.tsv --corpus-dir"),
        ("nemmo={0}", "--folders nemmo 'nemo'"),
        ("nonspeech={0}/..+esc={0}/none", "none: ESC-50 --esc-dir"),
        ("nonspeech={0}/..+musan={0}/none", "openslr.org/17"),
    ],
)
def test_check_setup_names_the_corpus_that_is_missing_and_its_option(tiny, tmp_path, fails, folders, message):
    args = ["--config", str(tiny.config_path), "--folders", *folders.format(tmp_path).split("+")]
    assert_names(fails(check_setup.main, args), message)


def test_check_setup_checks_systems_and_weights(tiny, tmp_path, fails):
    args = ["--config", str(tiny.config_path), "--folders", f"nonspeech={tmp_path.parent}"]
    assert "--systems trned" in fails(check_setup.main, [*args, "--systems", "trnet trned"])
    weights = ["--frontend", "gtcrn", "--frontend-checkpoint", str(tmp_path / "none.tar")]
    assert "none.tar" in fails(check_setup.main, [*args, *weights])
    free = ["--frontend", "gtcrn", "--frontend-checkpoint", str(tmp_path / "model_trained_on_dns3.tar")]
    assert "dns3.tar: no such file; give the authors'" in fails(check_setup.main, [*args, *free])
    assert "--download true" in fails(check_setup.main, [*args, *free])
    assert "gtcrn" in fails(check_setup.main, [*args, "--frontend", "gtcrn"])  # no weights are no option


def test_check_setup_says_what_it_found(tiny, tmp_path, capsys):
    assert check_setup.main(["--config", str(tiny.config_path), "--folders", f"nonspeech={tmp_path.parent}"]) == 0
    out = capsys.readouterr().out
    assert f"nonspeech: {tmp_path.parent}" in out and "front-end: none" in out and "torch" in out
    assert "features: fbank, " in out


@pytest.mark.parametrize("layer", ["middle", "auto", "9"])
def test_check_setup_checks_the_network_behind_the_features(tiny, tmp_path, capfd, fails, layer):
    args = ["--config", str(tiny.config_path), "--folders", f"nonspeech={tmp_path.parent}", "--set"]
    settings = f"features.type=upstream features.model={tmp_path}/net features.layer={layer}"
    assert "net: no such folder" in fails(check_setup.main, [*args, settings])
    make_upstream("whisper", tmp_path / "net")
    if layer == "9":
        assert "features.layer: 9 is not there" in fails(check_setup.main, [*args, settings])
    else:
        assert check_setup.main([*args, settings]) == 0
        assert f"features: upstream, {DIM} values a frame" in capfd.readouterr().out


def test_count_corpus_prints_what_a_contract_holds(tiny, tmp_path, capfd, fails):
    capfd.readouterr()
    for by, expected in (("speaker", 24), ("corpus", 4)):
        assert count_corpus.main([str(tiny.data.path), "--by", by]) == 0
        path = tmp_path / "contract.yaml"
        path.write_text(capfd.readouterr().out)
        contract = read_contract(path)
        assert contract.by == by and sum(contract.counts.values()) == 48 and len(contract.counts) == expected
    assert "utt2split" in fails(count_corpus.main, [str(tiny.data.path), "--by", "split"])


def test_list_sets_prints_the_folders_of_all_conditions(tiny, capsys):
    args = [
        "--config",
        str(tiny.config_path),
        "--corpus-data",
        "data/nemo",
        "--noises",
        "esc musan",
        "--snrs",
        "20 2.5",
    ]
    assert list_sets.main(args) == 0
    names = ("nemo", "nemo_esc_20db", "nemo_esc_2.5db", "nemo_musan_20db", "nemo_musan_2.5db")
    assert capsys.readouterr().out.split() == [f"data/{name}" for name in names]


def test_options_can_come_from_a_file_and_the_command_line_has_the_last_word(tiny, tmp_path, capsys):
    options = tmp_path / "options.yaml"
    options.write_text(f"config: {tiny.config_path}\ncorpus-data: data/x\nnoises: esc\nsnrs: '10 0'\n")
    assert list_sets.main(["--options", str(options), "--snrs", "5"]) == 0
    assert capsys.readouterr().out.split() == ["data/x", "data/x_esc_5db"]


@pytest.mark.parametrize(("option", "main"), [("--corpus", prepare_corpus.main), ("--noise", prepare_noise.main)])
def test_a_corpus_that_is_not_there_is_named(tmp_path, fails, option, main):
    root, out = tmp_path / "nowhere", tmp_path / "data"
    args = [option, "nemo" if option == "--corpus" else "esc", "--root", str(root), "--out", str(out)]
    if option == "--corpus":
        labels = Path(__file__).parents[2] / "egs/nemo/ser1/conf/labels.yaml"
        args += ["--labels", str(labels), "--contract", "none"]
    assert "nowhere" in fails(main, args) and not out.exists()


@pytest.mark.slow
def test_from_features_to_scores_and_a_second_call_does_nothing(tiny, tmp_path, capsys, monkeypatch):
    """Two systems on fold 1: the teacher, then trnet, then results of every condition."""
    exp = tmp_path / "exp"
    runs = [*tiny.folders(), "--exp", str(exp), "--folds", "1", "--systems", "baseline_c trnet", "--max-epochs", "1"]
    assert train.main([*runs, "--part", "teacher"]) == 0
    assert train.main([*runs, "--part", "others"]) == 0
    assert (exp / "none/baseline_c").resolve() == (exp / "raw/baseline_c").resolve()
    runs_made = [path for path in exp.glob("*/*/*/best.pt") if not path.parents[1].is_symlink()]
    assert sorted(str(path.parent.relative_to(exp)) for path in runs_made) == [
        "none/trnet/fold1_seed1",
        "raw/baseline_c/fold1_seed1",
    ]
    assert score.main([*runs, "--noises", "esc"]) == 0
    with open(exp / "none/results.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["fold"] == "1"]
    said = {(row["system"], row["noise"], row["snr_db"]): row for row in rows}
    conditions = {("clean", ""), ("esc", "10"), ("esc", "0")}
    assert {(n, float(s) if s else None) for _, n, s in said} == {(n, float(s) if s else None) for n, s in conditions}
    assert len(rows) == 6 and all(int(row["n_utts"]) == 8 and 0 <= float(row["uar"]) <= 100 for row in rows)
    with open(exp / "none/predictions.csv", newline="") as stream:
        predictions = list(csv.DictReader(stream))
    assert {row["utt_id"][:3] for row in predictions} == {"S1F"} and len(predictions) == 6 * 8
    assert all((row["c"] == "") == (row["system"] == "baseline_c") for row in predictions)
    monkeypatch.setattr("trnet.train.trainer.Trainer.train", lambda *args: pytest.fail("trained again"))
    capsys.readouterr()
    assert train.main([*runs, "--part", "teacher"]) == train.main([*runs, "--part", "others"]) == 0
    assert capsys.readouterr().out.count("up to date") == 2


@pytest.mark.slow
@pytest.mark.parametrize("where", ["trnet.eval.run_predictions.infer", "trnet.eval.report.draw_figures"])
def test_scoring_stopped_by_ctrl_c_goes_on_to_the_very_same_files(tiny, tmp_path, where, capsys, monkeypatch, partials):
    """Stage 7, while it decodes and while it writes the report."""
    exp = tmp_path / "exp"
    runs = [*tiny.folders(), "--exp", str(exp), "--folds", "1", "--systems", "baseline_c", "--max-epochs", "1"]
    assert train.main([*runs, "--part", "teacher"]) == 0
    assert score.main([*runs, "--noises", "esc"]) == 0
    results = ("results.csv", "predictions.csv", "RESULTS.md")
    whole = [(exp / "none" / name).read_bytes() for name in results]
    for path in (*(exp / "none" / name for name in results), exp / "raw/baseline_c/fold1_seed1/predictions.csv"):
        path.unlink()

    def stopped(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, stopped)
        assert score.main([*runs, "--noises", "esc"]) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert not partials(exp) and not (exp / "none/RESULTS.md").exists()
    assert score.main([*runs, "--noises", "esc"]) == 0
    assert [(exp / "none" / name).read_bytes() for name in results] == whole


@pytest.mark.slow
def test_another_front_end_leaves_the_first_one_and_systems_that_read_no_enhanced_speech_alone(
    tiny, tmp_path, monkeypatch
):
    exp, dump = tmp_path / "exp", Path(shutil.copytree(tiny.dump, tmp_path / "dump"))
    runs = [*tiny.folders(dump), "--exp", str(exp), "--folds", "1", "--max-epochs", "1"]
    systems = "baseline_c baseline_n baseline_e"
    assert train.main([*runs, "--systems", systems, "--part", "teacher"]) == 0
    assert train.main([*runs, "--systems", f"{systems} trnet"]) == 0
    kept = [
        *exp.glob("raw/*/*/best.pt"),
        *exp.glob("none/trnet/*/best.pt"),
        exp / "none/baseline_e/fold1_seed1/best.pt",
    ]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert len(before) == 2 + 1 + 1
    (tmp_path / "own_half.py").write_text(HALF)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, "frontend": "own_half:Half"}))
    sets = ["--sets", " ".join(str(tiny.root / "data" / name) for name in SETS), "--dump", str(dump)]
    runs += ["--config", str(config), "--systems", systems]
    for main, args in (
        (enhance.main, ["--config", str(config), *sets]),
        (make_fbank.main, ["--config", str(config), *sets]),
        (train.main, [*runs, "--part", "teacher"]),
        (train.main, runs),
        (score.main, [*runs, "--noises", "esc"]),
    ):
        assert main(args) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    other = exp / load_config(config).frontend_name
    for name in ("baseline_c", "baseline_n"):
        run = f"{name}/fold1_seed1/best.pt"
        assert (other / run).samefile(exp / "raw" / run)
    assert (other / "baseline_e/fold1_seed1/best.pt").exists() and not (other / "baseline_e").is_symlink()
    with open(other / "results.csv", newline="") as stream:
        assert {row["system"] for row in csv.DictReader(stream)} == set(systems.split())


def test_stages_2_to_4_are_not_redone(tiny, capsys):
    config = ["--config", str(tiny.config_path)]
    sets = ["--sets", " ".join(str(tiny.root / "data" / name) for name in SETS), "--dump", str(tiny.dump)]
    capsys.readouterr()
    assert simulate.main([*config, "--corpus-data", str(tiny.data.path), "--noises", "esc"]) == 0
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    assert capsys.readouterr().out.count("up to date") == 2 + 3 + 6


SER = Path(__file__).parents[2] / "egs/TEMPLATE/ser1/ser.sh"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-epoch", "3"], "--max-epoch '--max-epochs'"),
        (["--stage", "8"], "--stage 8 0 7"),
        (["--stop-stage", "all"], "--stop-stage all 7"),
        (["--nj", "many"], "--nj many"),
        (["--folds"], "--folds"),
        (["folds"], "'folds'"),
        (["--stage", "0", "--stop-stage", "0", "--noises", "wind"], "--noises wind"),
        (["--noise-dirs", "harbour"], "--noise-dirs harbour NAME=FOLDER"),
        (["--noise-dirs", "esc=/x"], "--noise-dirs esc=/x --esc-dir"),
        (["--noises", "esc sea", "--noise-dirs", "sea1=/x"], "--noises sea esc musan"),
        (["--stage", "2", "--stop-stage", "2", "--config", "none.yaml"], "none.yaml"),
        (["--stage", "0", "--stop-stage", "0", "--noises", "esc,musan"], "downloads/nemo nEMO"),
    ],
)
def test_the_recipe_says_in_one_line_what_is_wrong(tiny, tmp_path, options, message):
    (tmp_path / "conf").mkdir()
    shutil.copy(tiny.config_path, tmp_path / "conf/recipe.yaml")
    (tmp_path / "downloads/tiny").mkdir(parents=True)
    command = ["bash", str(SER), "--corpus", "nemo", *options]
    environment = os.environ | {"PYTHON": str(python()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    lines = done.stderr.splitlines()
    assert done.returncode != 0 and len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert_names(lines[0], message)
    assert not (tmp_path / "data").exists()


def test_the_recipe_lists_its_options(tmp_path):
    done = subprocess.run(["bash", str(SER), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    for name in ("ngpu nj folds seeds systems frontend frontend-checkpoint noises snrs max-epochs").split():
        assert f"--{name}" in done.stdout
    for name in (
        "corpus-dir",
        "esc-dir",
        "musan-dir",
        "demand-dir",
        "nonspeech-dir",
        "noise-dirs",
        "stage",
        "stop-stage",
    ):
        assert f"--{name}" in done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_libraries_are_loaded_is_one_line(tmp_path, stop):
    (tmp_path / "torch.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    process = subprocess.Popen(
        [sys.executable, "-m", "trnet.bin.train"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout.readline() == "loading\n"
    process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (130, "", 2) and "run the same command again" in err


WAITS = """
import signal, sys, time
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from trnet.utils.errors import one_line_errors

@one_line_errors
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)

sys.exit(main())
"""


@pytest.mark.parametrize("how", ["terminal", "nohup"])
def test_a_terminal_that_is_gone_ends_a_command_as_ctrl_c_does_unless_nohup_keeps_it(how):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    if how == "nohup":
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "cleaned up\n") and "run the same command again" in err
