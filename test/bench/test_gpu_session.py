"""utils/bench_gpu.sh: its steps, their limits, what it leaves, and a rehearsal on a CPU with tiny corpora."""

import importlib
import json
import os
import shlex
import subprocess
import tarfile
import time

import pytest
from lines import assert_names
from nemo_tree import write_esc, write_nemo, write_noises
from started_python import python

from trnet.bench import gpu_command, gpu_session
from trnet.bench.gpu_session import CMGAN, ROOT, SHARES, STEPS, TRAIN, GpuSession, Plan, gpu_tests, read_junit
from trnet.bench.limited import Ended
from trnet.bin import bench_frontend, bench_train

GPU_TESTS = """import pytest


@pytest.mark.gpu
def test_right():
    pass


@pytest.mark.gpu
def test_wrong():
    assert 1 == 2, "one is not two"


def test_other():
    raise AssertionError("is not marked")
"""
LARGEST = 16 << 20


@pytest.fixture
def played(monkeypatch):
    """Commands are not run but listed with their limits; played.status says how those with a word in them end."""

    class Played(list):
        status = {}

    calls = Played()

    def play(commands, limit_s, tick):
        calls.append((" ".join(" ".join(command.words) for command in commands), limit_s))
        tick()
        status = next((status for word, status in calls.status.items() if word in calls[-1][0]), 0)
        return [Ended(status, 1.0) for _ in commands]

    monkeypatch.setattr(gpu_session, "run_together", play)
    return calls


@pytest.fixture
def plan(tmp_path):
    """plan(**changes): of 1000 seconds, in a temporary folder."""

    def make(**changes) -> Plan:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return Plan(**{"budget_s": 1000.0, "out": tmp_path / "out", "work": work, **changes})

    return make


def test_every_step_has_its_share_of_what_is_left(plan, played):
    GpuSession(plan(tests=("test_a.py",))).run()
    for name, word in (("tests", "pytest"), ("train", "bench_train"), ("cmgan", "bench_frontend")):
        limit = next(limit for call, limit in played if word in call)
        limit *= sum(share for _, share in TRAIN.values()) / TRAIN["train_256"][1] if name == "train" else 1
        waiting = STEPS[STEPS.index(name) :]  # what steps before it did not use goes to it and to those behind it
        share = SHARES[name] / sum(SHARES[each] for each in waiting)
        assert limit == pytest.approx(990 * share, rel=0.02)  # 10 s are kept


def test_a_step_that_fails_or_is_stopped_does_not_stop_the_others_and_is_tried_again(plan, played, capsys):
    played.status = {"bench_train": None, "bench_frontend": 1}
    steps = ("train", "cmgan")
    assert not GpuSession(plan(steps=steps)).run()
    assert len(played) == len(TRAIN) + 1
    states = json.loads((plan().work / "steps.json").read_text())
    assert "stopped" in states["train"]["state"] and "status 1" in states["cmgan"]["state"]
    played.clear()
    played.status = {}
    assert GpuSession(plan(steps=steps)).run() and len(played) == len(TRAIN) + 1
    played.clear()
    assert GpuSession(plan(steps=steps)).run() and not played  # all is done
    assert GpuSession(plan(steps=steps, again=True)).run() and len(played) == len(TRAIN) + 1


def test_an_error_of_the_session_itself_is_noted_and_the_next_step_is_done(plan, played, monkeypatch):
    monkeypatch.setattr(GpuSession, "_train", lambda self, until: 1 / 0)
    assert not GpuSession(plan(steps=("train", "cmgan"))).run()
    assert "ZeroDivisionError" in (plan().out / "BENCH.md").read_text() and len(played) == 1


def test_what_was_found_is_written_when_the_session_is_stopped(plan, monkeypatch):
    (plan().work / "train_256.md").write_text("of an earlier call")

    def stopped(commands, limit_s, tick):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_session, "run_together", stopped)
    with pytest.raises(KeyboardInterrupt):
        GpuSession(plan(steps=("cmgan",))).run()
    assert "of an earlier call" in (plan().out / "BENCH.md").read_text()


def test_tests_of_an_earlier_call_stay_and_a_call_that_is_stopped_leaves_its_own(plan, monkeypatch):
    case = '<testsuite><testcase classname="t" name="a"/><testcase classname="t" name="{}"/></testsuite>'

    def run(written, error):
        def killed(commands, limit_s, tick):
            if written:
                (plan().work / "tests.xml").write_text(case.format(written))
            if error:
                raise error
            return [Ended(None, 1.0)]

        monkeypatch.setattr(gpu_session, "run_together", killed)
        GpuSession(plan(steps=("tests",), tests=("t.py",))).run()

    run("first", None)
    run("", None)  # killed before pytest wrote anything
    assert json.loads((plan().work / "tests.json").read_text())["tests"] == 2
    with pytest.raises(KeyboardInterrupt):
        run("second", KeyboardInterrupt())
    assert json.loads((plan().out / "bench.json").read_text())["tests"]["passed"] == 2


def test_parts_of_the_training_benchmark_that_are_done_are_not_done_again(plan, played):
    session = GpuSession(plan(steps=("train",)))
    session.steps["train_256"] = {"state": "done", "seconds": 1.0}
    assert session.run() and len(played) == len(TRAIN) - 1
    assert not any("train_256.json" in call for call, _ in played)
    session.steps["train"] = {"state": "stopped at its limit", "seconds": 1.0}
    assert session.run() and len(played) == len(TRAIN) - 1  # all are done


def test_numbers_that_cannot_be_read_stop_nothing(plan, played, capsys):
    (plan().work / "train_256.json").write_text("{")
    assert GpuSession(plan(steps=("cmgan",))).run() and "JSONDecodeError" in capsys.readouterr().out


def test_seeds_are_trained_one_after_the_other_and_what_is_finished_is_scored(plan, played, monkeypatch):
    monkeypatch.setattr(gpu_session, "is_finished", lambda folder: "seed1" in folder.name)

    def folders(exp):
        return {
            (s, f, k): exp / s / f"fold{f}_seed{k}" for s in ("baseline_c", "trnet") for f in (1, 2) for k in (1, 2)
        }

    monkeypatch.setattr(gpu_session, "run_folders", folders)
    few = {"steps": ("nemo",), "systems": ("baseline_c", "trnet"), "folds": (1, 2), "seeds": (1, 2), "nj": 5, "runs": 3}
    GpuSession(plan(**few)).run()
    features, first, second, score = (shlex.split(call.replace("\n", " ")) for call, _ in played)
    assert features[-6:-2] == ["--stop-stage", "4", "--ngpu", "1"] and features[-1] == "5"
    assert [call[-1] for call in (first, second)] == ["1", "2"]
    call = played[3][0]
    assert "--stage 7" in call and "--folds 1 2 --seeds 1 --nj 3" in call and "--systems baseline_c trnet" in call
    limits = [limit for _, limit in played]
    assert limits[0] == pytest.approx(limits[3], abs=5) and limits[1] == pytest.approx(limits[0] - 75, abs=5)
    assert score[0] == "bash"


def test_without_time_nothing_is_begun(plan, played):
    session = GpuSession(plan(steps=("train",)), began=time.monotonic() - 2000)
    assert not session.run() and not played and (plan().out / "bench.json").is_file()


@pytest.mark.parametrize("options", [options for options, _ in TRAIN.values()])
def test_the_benchmark_of_training_takes_these_options(options):
    bench_train.get_parser().parse_args(["--config", "c.yaml", *options])


def test_the_benchmark_of_front_ends_takes_these_options():
    bench_frontend.get_parser().parse_args([*CMGAN, "--ngpu", "1"])


def test_files_with_tests_for_a_gpu_are_found(tmp_path):
    for name, text in (
        ("test_a.py", "@pytest.mark.gpu\ndef test():\n    pass\n"),
        ("test_b.py", "pytestmark = [pytest.mark.slow, pytest.mark.gpu]\n"),
        ("test_c.py", "# pytest.mark.gpu is for others\n@pytest.mark.slow\n"),
        ("helper.py", "@pytest.mark.gpu\n"),
    ):
        (tmp_path / name).write_text(text)
    assert [path.name for path in gpu_tests(tmp_path)] == ["test_a.py", "test_b.py"]
    assert read_junit(tmp_path / "none.xml") == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["0", "out"], "BUDGET_SECONDS 0"),
        (["10"], "OUT"),
        (["10", "out", "--steps", "tests,training"], "training Known: tests train"),
        (["10", "out", "--step", "tests"], "--step"),
        (["10", "out", "--corpus-dir", "{0}"], "--esc-dir --nonspeech-dir"),
        (["10", "out", "--steps", "train", "--corpus-dir", "{0}/nowhere"], "--corpus-dir nowhere"),
        (["10", "out", "--shares", "test=3", "--steps", "train"], "--shares test=3"),
        (["10", "out", "--seeds", "1 0", "--steps", "train"], "--seeds 0"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, fails, options, message):
    assert_names(fails(gpu_command.main, [option.format(tmp_path) for option in options]), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_benchmarks_on_a_cpu(plan, tiny, monkeypatch):
    """Both in this process, tiny: their tables and numbers are in what is left."""

    def run_here(commands, limit_s, tick):
        (command,) = commands
        module = list(command.words)[command.words.index("-m") + 1 :]
        return [Ended(importlib.import_module(module[0]).main(module[1:]), 1.0)]

    monkeypatch.setattr(gpu_session, "run_together", run_here)
    monkeypatch.setattr("trnet.bench.train_floors.COPIED", {"cpu": 1 << 20})
    train = f"--config {tiny.config_path} --utterances 16 --seconds 0.3 --runs 1 --workers 1 --epochs 1"
    small = {"train_options": train, "cmgan_options": "--frontends none --seconds 0.1 --threads 1"}
    assert GpuSession(plan(steps=("train", "cmgan"), ngpu=0, **small)).run()
    found = json.loads((plan().out / "bench.json").read_text())
    keys = [row["key"] for row in found["train_256"]["rows"]]
    assert keys == ["bare", "dataloader", "engine", "float32", "threads"] and found["train_500"]["precision"] == "bf16"
    assert found["cmgan"]["frontends"][0]["frontend"] == "none"
    page = (plan().out / "BENCH.md").read_text()
    assert "## Training, 256 frames" in page and "| none | own |" in page
    assert {path.name for path in plan().out.iterdir()} == {"BENCH.md", "bench.json", "logs.txt"}


@pytest.mark.recipe
@pytest.mark.slow
def test_a_rehearsal_on_a_cpu(tmp_path):
    """As a user calls it: tests, and nEMO's recipe from tiny corpora to scores."""
    folders = [write_nemo(tmp_path), write_esc(tmp_path), write_noises(tmp_path)]
    (tmp_path / "test_tiny.py").write_text(GPU_TESTS)
    out = tmp_path / "out"
    command = ["bash", ROOT / "utils/bench_gpu.sh", "900", out, "--ngpu", "0", "--nj", "1", "--runs", "1"]
    for option, folder in zip(gpu_command.CORPORA, folders, strict=True):
        command += [option, folder]
    command += ["--folds", "1", "--seeds", "1", "--systems", "baseline_c", "--tests", tmp_path / "test_tiny.py"]
    command += ["--steps", "tests nemo", "--commit", "abc123"]
    recipe = (
        "--contract none --frontend none --snrs 10 --max-epochs 2 --set 'encoder.channels=[4,4] pooling.attention=4'"
    )
    command.append(f"--recipe-options={recipe}")
    environment = os.environ | {"PYTHON": str(python()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stdout + done.stderr  # for the test that fails
    files = {path.name: path.stat().st_size for path in out.iterdir()}
    assert {"BENCH.md", "bench.json", "logs.txt", "results.tar.gz", "runs.tar.gz", "predictions_1.tar.gz"} == set(files)
    assert max(files.values()) < LARGEST and len(files) <= 8
    found = json.loads((out / "bench.json").read_text())
    states = {name: step["state"] for name, step in found["steps"].items()}
    assert states.pop("tests").startswith("failed") and set(states.values()) == {"done"}, done.stdout
    assert found["tests"]["passed"] == 1 and list(found["tests"]["failed"].values())[0].count("one is not two")
    assert found["nemo_runs"]["finished"] == 1 and found["nemo_runs"]["epochs"] == 2
    with tarfile.open(out / "predictions_1.tar.gz") as archive:
        (name,) = archive.getnames()
        lines = archive.extractfile(name).read().decode().splitlines()
    assert name == "raw/baseline_c/fold1_seed1/predictions.csv" and len(lines) == 1 + 8 * 3  # clean and two noise sets
    with tarfile.open(out / "results.tar.gz") as archive:
        assert {"none/RESULTS.md", "none/results.csv", "none/report.html"} <= set(archive.getnames())
    assert "UAR per SNR: esc" in (out / "BENCH.md").read_text() and "test_wrong" in (out / "logs.txt").read_text()
