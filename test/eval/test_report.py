"""The files that a report writes, and its figures."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from trnet.eval.predictions import make_predictions, read_results
from trnet.eval.report import write_report
from trnet.utils.errors import TrnetError

CLASSES = ("ang", "hap", "neu", "sad")
FAST = {"resamples": 100, "permutations": 100}


def predictions_of(systems=("baseline_c", "trnet"), noises=("esc", "musan")):
    rng = np.random.default_rng(3)
    conditions = [("clean", None), *((noise, snr) for noise in noises for snr in (0.0, 20.0))]
    rows = []
    for system in systems:
        for noise, snr in conditions:
            for i in range(16):
                probs = rng.dirichlet(np.ones(4))
                c = float(rng.uniform(0.5, 1)) if system == "trnet" else None
                pred = CLASSES[int(probs.argmax())]
                rows.append((system, "mmse", "1", 1, noise, snr, f"u{i}", CLASSES[i % 4], pred, c, *probs))
    return make_predictions(rows, CLASSES)


def files(folder):
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_report_is_written_whole(tmp_path):
    predictions = predictions_of(noises=("esc",))
    reference = tmp_path / "ref.csv"
    reference.write_text("system,noise,uar,war\ntrnet,clean,57.49,55.55\n")
    write_report(tmp_path / "one", predictions, {"commit": "abc"}, reference, {"u1": "scripted"}, **FAST)
    one = files(tmp_path / "one")
    assert list(one) == [
        "RESULTS.md",
        "figures/c_vs_snr.png",
        "figures/confusion_baseline_c.png",
        "figures/confusion_trnet.png",
        "figures/uar_vs_snr.png",
        "report.html",
        "results.csv",
        "statistics.csv",
    ]
    assert set(read_results(tmp_path / "one" / "results.csv")["system"]) == {"baseline_c", "trnet"}
    text = one["RESULTS.md"].decode()
    assert "(57.49)" in text and "scripted" in text
    for name in one:
        if name.endswith(".png"):
            assert f"]({name})" in text
            assert b"matplotlib" not in one[name] and b"tIME" not in one[name]
            picture = imread(io.BytesIO(one[name]))
            assert min(picture.shape[:2]) > 300 and picture[..., :3].std() > 0.05


def test_figures_of_an_earlier_report_go_but_other_files_stay(tmp_path):
    old = tmp_path / "figures" / "confusion_gone.png"
    mine = tmp_path / "figures" / "mine.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    mine.write_bytes(b"mine")
    write_report(tmp_path, predictions_of(("baseline_c",), ()), {}, **FAST)
    assert not old.exists() and mine.read_bytes() == b"mine"
    assert [path.name for path in sorted(mine.parent.iterdir())] == ["confusion_baseline_c.png", "mine.png"]


def test_nothing_to_report_or_nowhere_to_write(tmp_path):
    with pytest.raises(TrnetError):
        write_report(tmp_path, make_predictions([], CLASSES), {})
    assert not list(tmp_path.iterdir())
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(TrnetError, match=str(blocked)):
        write_report(blocked, predictions_of(("baseline_c",), ()), {}, **FAST)
    assert blocked.read_text() == ""
