"""Stage 7 is finished when it is finished, and what is there is never replaced by less."""

import os
from pathlib import Path

import pytest

from trnet.bin import pack, score
from trnet.eval.predictions import read_results
from trnet.eval.run_report import finished_report
from trnet.utils.stamp import read_stamp

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plain_pictures")]

SYSTEMS = ("baseline_c", "trnet")


@pytest.fixture
def out(runs) -> Path:
    return runs.out


@pytest.fixture
def options(runs) -> list[str]:
    return [*runs.options, "--noises", "esc", "--resamples", "100", "--permutations", "100"]


def state(out: Path) -> dict[str, tuple[int, bytes]]:
    """When each file of a report was written, and what it holds."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_relative_to(out / "trnet")]
    return {str(path.relative_to(out)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def whole(runs, out, capfd) -> dict[str, tuple[int, bytes]]:
    """The folder when all is scored and nothing else was asked for."""
    runs.score(systems=SYSTEMS)
    capfd.readouterr()
    return state(out)


def test_a_second_call_does_nothing(runs, out, whole, capfd, monkeypatch):
    monkeypatch.setattr(score, "run_all", None)
    monkeypatch.setattr("trnet.eval.report.write_report", None)
    runs.score(systems=SYSTEMS)
    assert f"{out}/report.html, RESULTS.md: up to date" in capfd.readouterr().out
    assert state(out) == whole


@pytest.mark.parametrize("name", ["report.html", "figures/c_vs_snr.png", "results.csv"])
def test_what_is_gone_or_changed_is_made_again(runs, out, whole, name, capfd):
    if name == "report.html":
        (out / name).unlink()
    else:
        (out / name).write_bytes(b"damaged")
    runs.score(systems=SYSTEMS)
    assert f"{out / name}: " in capfd.readouterr().out
    assert {name: body for name, (_, body) in state(out).items()} == {name: body for name, (_, body) in whole.items()}


def test_other_settings_make_it_again_and_say_which(runs, out, whole, capfd, tmp_path):
    notes = tmp_path / "notes.md"
    notes.write_text("Two lines\nof it.\n")
    runs.score("--notes", str(notes), systems=SYSTEMS)
    assert "report.html: made anew, changed: options" in capfd.readouterr().out
    assert "- Two lines of it.\n" in (out / "RESULTS.md").read_text()
    assert "Two lines" in (out / "report.html").read_text()


def test_the_runs_and_their_files_are_part_of_what_it_is_made_from(out, whole):
    made_from = read_stamp(out / ".report.json")["made_from"]
    assert set(made_from["runs"]) == {f"{name}/fold{fold}_seed1" for name in SYSTEMS for fold in (1, 2)}
    changed = {**made_from["runs"], "trnet/fold1_seed1": "other"}
    assert finished_report(out, made_from) == ("", [])
    assert finished_report(out, made_from | {"runs": changed}) == (None, [])


def test_a_narrower_table_is_written_beside(runs, out, whole, capfd):
    runs.score(systems=("trnet",))
    said = capfd.readouterr().out
    assert "systems baseline_c" in said and "RESULTS_trnet.md" in said
    now = state(out)
    assert {name: now[name] for name in whole} == whole
    beside = {"RESULTS_trnet.md", "results_trnet.csv", "statistics_trnet.csv", "predictions_trnet.csv"}
    beside |= {"report_trnet.html", "figures_trnet/c_vs_snr.png", ".report_trnet.json"}
    assert beside <= set(now) - set(whole)
    assert "](figures_trnet/c_vs_snr.png)" in (out / "RESULTS_trnet.md").read_text()
    assert "results_trnet.csv" in (out / "report_trnet.html").read_text()
    assert set(read_results(out / "results_trnet.csv")["system"]) == {"trnet"}
    runs.score(systems=("trnet",))
    assert "RESULTS_trnet.md: up to date" in capfd.readouterr().out
    runs.score(systems=SYSTEMS)
    assert "RESULTS.md: up to date" in capfd.readouterr().out


def test_a_table_of_more_takes_the_place(runs, out, whole, tmp_path, capfd):
    os.makedirs(tmp_path / "exp/none")
    for name in ("raw", "none/trnet"):
        (tmp_path / "exp" / name).symlink_to(out.parent / name)
    mine = type(runs)(runs.tiny, tmp_path / "exp")
    mine.score(systems=SYSTEMS, folds="1")
    mine.score(systems=SYSTEMS)
    assert "stays" not in capfd.readouterr().out
    assert set(read_results(mine.out / "results.csv")["fold"]) == {"1", "2"}
    assert not list(mine.out.glob("RESULTS_*"))


def test_a_damaged_table_is_not_replaced_in_silence(options, out, whole, fails):
    (out / "results.csv").write_text("system\n")
    assert "results.csv:1" in fails(score.main, [*options, "--systems", "trnet", "--folds", "1"])
    assert (out / "results.csv").read_text() == "system\n"
    (out / "results.csv").unlink()


@pytest.mark.parametrize("option", ["--reference", "--notes"])
def test_a_file_that_is_not_there_or_no_text_is_named(options, option, fails, tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, why in (("absent", "No such file"), ("bytes", "UTF-8")):
        line = fails(score.main, [*options, option, str(tmp_path / name)])
        assert str(tmp_path / name) in line and why in line


@pytest.mark.parametrize("figures", ["50,500", "nan,50", "50"])
def test_a_bad_reference_is_refused_before_anything_is_written(options, out, whole, fails, tmp_path, figures):
    reference = tmp_path / "table1.csv"
    reference.write_text(f"system,noise,uar,war\ntrnet,esc,{figures}\n")
    chosen = ["--systems", " ".join(SYSTEMS), "--folds", "1 2"]
    assert "table1.csv:2" in fails(score.main, [*options, *chosen, "--reference", str(reference)])
    assert state(out) == whole


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_predictions_of_a_run_that_are_not_what_was_written_are_made_again(runs, out, whole, fails, capfd, harm):
    file = out / "trnet/fold1_seed1/predictions.csv"
    before = file.read_bytes()
    file.unlink()
    if harm == "changed":
        file.write_bytes(before.replace(b",sad,", b",neu,"))
    assert f"{file}: " in fails(pack.main, [*runs.options, "--folds", "1", "--out", f"{out}/x.zip"])
    runs.score(systems=SYSTEMS)
    assert f"{file}: " in capfd.readouterr().out
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--folds", "1 2", "--noises", "rain"], "tiny_rain_10db: has no features"),
        (["--folds", "1 2 3 4"], "fold3_seed1: not trained (4 of 8 runs are not); run stages 5 and 6, or name --folds"),
    ],
)
def test_what_many_runs_lack_is_said_once(options, out, whole, fails, capfd, more, said):
    """`fails` allows one line alone on standard error; on standard output there is none."""
    assert said in fails(score.main, [*options, "--systems", " ".join(SYSTEMS), *more])
    assert score.main([*options, "--systems", " ".join(SYSTEMS), *more]) == 1
    assert not capfd.readouterr().out and state(out) == whole


def test_too_few_resamples_are_refused_before_anything_is_done(options, fails):
    for option in ("--resamples", "--permutations"):
        assert f"{option}: 99" in fails(score.main, [*options, option, "99"])


def test_what_is_packed_is_not_packed_again(runs, out, whole, capfd):
    asked = [*runs.options, "--folds", "1 2"]
    assert pack.main(asked) == 0
    (model,) = out.glob("trnet_fold*_seed1.zip")
    before = model.stat().st_mtime_ns
    capfd.readouterr()
    assert pack.main(asked) == 0
    assert f"{model}: up to date" in capfd.readouterr().out and model.stat().st_mtime_ns == before
    model.write_bytes(b"cut")
    assert pack.main(asked) == 0
    assert model.stat().st_size > 1000 and "up to date" not in capfd.readouterr().out
