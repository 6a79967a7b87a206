"""Which runs of a table are finished, and which part of it is scored."""

import json

import pytest

from trnet.bench.nemo_table import Part, is_finished, largest_part, run_folders, summarise

TWO = ("baseline_c", "trnet")


def make_run(exp, system, fold, seed, state="done", uars=(30.0, 50.0, 40.0)):
    folder = exp / ("raw" if system == "baseline_c" else "gtcrn") / system / f"fold{fold}_seed{seed}"
    folder.mkdir(parents=True)
    (folder / ".train.json").write_text(json.dumps({"state": state}))
    (folder / "best.pt").write_bytes(b"")
    rows = "\n".join(f"{number},{uar}" for number, uar in enumerate(uars, 1))
    (folder / "history.csv").write_text(f"epoch,valid_uar\n{rows}\n")
    return folder


def test_runs_are_found_once_and_known_to_be_finished(tmp_path):
    done = make_run(tmp_path, "baseline_c", 1, 1)
    begun = make_run(tmp_path, "trnet", 1, 2, state="begun", uars=(20.0,))
    (tmp_path / "gtcrn/baseline_c").symlink_to("../raw/baseline_c")
    (tmp_path / "gtcrn/figures").mkdir()
    assert run_folders(tmp_path) == {("baseline_c", 1, 1): done, ("trnet", 1, 2): begun}
    assert is_finished(done) and not is_finished(begun)
    (done / "best.pt").unlink()
    assert not is_finished(done)
    (begun / ".train.json").write_text("{")
    assert not is_finished(begun)


def test_what_was_trained_is_summed_up(tmp_path):
    make_run(tmp_path, "baseline_c", 1, 1)
    make_run(tmp_path, "baseline_c", 2, 1, uars=(60.0, 70.0))
    make_run(tmp_path, "trnet", 1, 1, state="begun", uars=(20.0,))
    found = summarise(tmp_path, TWO)
    assert found["epochs"] == 6 and found["finished"] == 2
    assert found["systems"]["baseline_c"] == {"begun": 2, "finished": 2, "valid_uar": 60.0}
    assert found["systems"]["trnet"] == {"begun": 1, "finished": 0, "valid_uar": None}


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ([], Part(TWO, (1, 2, 3), (1, 2))),
        ([("trnet", 3, 2)], Part(TWO, (1, 2), (1, 2))),  # 4 of 6 beat 3 of 6
        ([("trnet", 3, 2), ("trnet", 2, 2)], Part(TWO, (1, 2, 3), (1,))),
        ([("trnet", fold, seed) for fold in (1, 2, 3) for seed in (1, 2)], Part(("baseline_c",), (1,), (1,))),
        ([(name, fold, seed) for name in TWO for fold in (1, 2, 3) for seed in (1, 2)], Part()),
    ],
)
def test_the_largest_complete_part_is_scored(missing, part):
    runs = [(name, fold, seed) for name in TWO for fold in (1, 2, 3) for seed in (1, 2)]
    assert largest_part([run for run in runs if run not in missing], TWO, (1, 2, 3), (1, 2)) == part
