"""Runs that share a GPU: stages 5 to 7 in one process, a run that fails, a GPU that does."""

import os
import subprocess
import sys

import pytest
import torch
from training import is_finished

from trnet.bin import score, train
from trnet.train import session as training_session
from trnet.train.captured import drop_lanes
from trnet.train.device_runs import run_on_gpu
from trnet.train.fast_jobs import CapturedSERJob
from trnet.utils.errors import TrnetError
from trnet.utils.threads import stop_if_asked

CPU = torch.device("cpu")


@pytest.fixture
def in_python(monkeypatch):
    """Steps are captured without being compiled, which would take minutes."""
    import torch._dynamo

    monkeypatch.setattr(torch._dynamo.config, "disable", True)
    yield
    drop_lanes()
    torch._dynamo.reset()  # what was called meanwhile would never be compiled in this process


def title(job):
    return f"run {job}"


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_run_that_fails_does_not_stop_the_others(at_once, caplog):
    done = []

    def work(job, line):
        assert (line is None) == (at_once == 1)
        if job == 2:
            raise TrnetError("run 2: broken; mend it")
        done.append(job)

    with pytest.raises(TrnetError, match=r"run 2: broken.*1 of 6"):
        run_on_gpu(work, range(6), at_once, CPU, 1, "test", title)
    assert sorted(done) == [0, 1, 3, 4, 5]


def test_an_interruption_ends_every_thread():
    def work(job, _line):
        if job == 1:
            raise KeyboardInterrupt
        while True:
            stop_if_asked()

    with pytest.raises(KeyboardInterrupt):
        run_on_gpu(work, range(6), 3, CPU, 1, "test", title)


BROKEN = """
import sys
import torch
from pathlib import Path
from trnet.train.device_runs import run_on_gpu
from trnet.utils.errors import one_line_errors

folder, kind = Path(sys.argv[1]), sys.argv[2]
def work(job, _line):
    with open(folder / f"{job}", "a") as log:
        log.write("begun\\n")
    if job == 2:
        if kind == "cuda":
            torch.zeros(1, device="cuda")[torch.tensor([7], device="cuda")].cpu()
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    (folder / f"{job}.done").touch()

@one_line_errors
def main():
    left = [job for job in range(5) if not (folder / f"{job}.done").exists()]
    run_on_gpu(work, left, 3, torch.device(kind), 1, "test", lambda job: f"run {job}")

sys.exit(main())
"""


def run_script(folder, text, kind):
    """Five runs in a process of their own, which begins anew."""
    script = folder / "broken.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, str(script), str(folder), kind],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_when_the_gpu_fails_the_others_are_taken_up_in_a_new_process(tmp_path, kind):
    done = run_script(tmp_path, BROKEN, kind)
    assert done.returncode == 1
    assert "run 2" in done.stderr.splitlines()[-1] and "CUDA error" in done.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.glob("*.done")) == [f"{job}.done" for job in (0, 1, 3, 4)]
    assert (tmp_path / "2").read_text().count("begun") == 2  # beside others, and alone


@pytest.mark.slow
def test_a_gpu_that_fails_in_run_after_run_is_given_up(tmp_path):
    done = run_script(tmp_path, BROKEN.replace("if job == 2:", "if True:"), "cpu")
    assert done.returncode == 1
    assert "run after run" in done.stderr.splitlines()[-1] and "illegal memory" in done.stderr.splitlines()[-1]
    assert sum(path.read_text().count("begun") for path in tmp_path.glob("[0-9]")) <= 5 + 2  # all at once, two alone


def stages_5_to_7(tiny, exp, nj, *device):
    """Two folds of three systems, `nj` runs at a time; their histories."""
    names = ("baseline_c", "baseline_e", "trnet")
    session = tiny.session(exp, max_epochs=2)
    options = [*tiny.folders(), "--exp", str(exp), "--nj", nj, "--folds", "1 2", "--systems", " ".join(names)]
    options += ["--max-epochs", "2", *device]
    assert train.main([*options, "--part", "teacher"]) == 0
    assert train.main(options) == 0
    assert all(is_finished(session, name, fold) for name in names for fold in (1, 2))
    if nj != "1":
        assert score.main([*options, "--noises", "esc"]) == 0
        results = next(exp.glob("*/results.csv")).read_text().splitlines()
        assert len(results) == 1 + len(names) * 2 * 3
    return {str(path.parent.relative_to(exp)): torch.load(path)["history"] for path in exp.glob("*/*/fold*/last.pt")}


@pytest.mark.slow
def test_stages_5_to_7_in_threads_rehearsed_on_a_cpu(tiny, tmp_path, monkeypatch):
    """The same runs as one after another, whatever thread they are in."""
    monkeypatch.setattr(train, "shares_process", lambda *_: True)
    monkeypatch.setattr(training_session, "make_job", CapturedSERJob)
    monkeypatch.setattr(CapturedSERJob, "save_every", 0.0)
    still = ["--set", "encoder.dropout=0.1 training.compile=false"]
    beside = stages_5_to_7(tiny, tmp_path / "a", "3", *still)
    drop_lanes()
    assert beside == stages_5_to_7(tiny, tmp_path / "b", "1", *still) and len(beside) >= 6


@pytest.mark.gpu
def test_stages_5_to_7_on_a_gpu(tiny, tmp_path, in_python):
    beside = stages_5_to_7(tiny, tmp_path / "a", "3", "--ngpu", "1")
    drop_lanes()
    assert beside == stages_5_to_7(tiny, tmp_path / "b", "1", "--ngpu", "1")
