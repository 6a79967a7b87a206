"""Which layer suits: who decides it, what is not looked at, and how it is reported."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from tiny import Tiny

from trnet.conditions import CLEAN, Condition
from trnet.folds import Fold
from trnet.probe.layer_statistics import LayerStatistics
from trnet.probe.layers import (
    layers_csv,
    layers_markdown,
    layers_png,
    over_folds,
    preferred_layers,
    score_layers,
)
from trnet.runs.dataset import Dataset
from trnet.utils.errors import TrnetError

NOISY = Condition("esc", 10.0)
LAYERS = ("0", "1", "2", "10", "middle")
DIM = 4


@pytest.fixture(scope="module")
def dataset(tiny: Tiny) -> Dataset:
    return Dataset(tiny.data, tiny.config)


def made(dataset: Dataset, folder, good: dict[str, float], spoilt: tuple[str, ...] = ()) -> LayerStatistics:
    """Statistics in which a layer says the class as clearly as `good` has it, and NaN for utterances `spoilt`."""
    statistics = LayerStatistics(folder, LAYERS, tuple(dataset.utts), DIM)
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (len(dataset.utts), len(LAYERS), 2 * DIM)).astype(np.float32)
    for row, utt in enumerate(dataset.utts):
        for layer, apart in good.items():
            values[row, LAYERS.index(layer), dataset.labels[utt]] += apart
        if utt in spoilt:
            values[row] = np.nan
    folder.mkdir()
    begin = 0
    for path, utts in statistics.parts.items():
        np.save(path, values[begin : begin + len(utts)])
        begin += len(utts)
    return statistics


def scores_of(dataset: Dataset, folder, folds: list[Fold], threads: int = 1, **options) -> pd.DataFrame:
    folder.mkdir()
    statistics = {
        CLEAN: made(dataset, folder / "clean", {"2": 6.0, "10": 1.0}, **options),
        NOISY: made(dataset, folder / "noisy", {"2": 3.0}, **options),
    }
    return score_layers(dataset, statistics, folds, threads)


def test_the_layer_that_says_the_class_is_preferred_in_each_fold(dataset, tmp_path):
    scores = scores_of(dataset, tmp_path / "x", dataset.folds[:3])
    assert preferred_layers(scores) == {1: "2", 2: "2", 3: "2"}
    assert len(scores) == 3 * len(LAYERS) * 2
    assert list(scores["layer"].unique()) == list(LAYERS)  # not 0, 1, 10, 2
    assert list(scores["condition"].unique()) == ["clean", "esc_10db"]
    summary = over_folds(scores).set_index(["layer", "condition"])
    assert summary.loc[("2", "clean"), "mean"] > 90 > summary.loc[("1", "clean"), "mean"]


def test_the_test_speaker_is_not_looked_at(dataset, tmp_path):
    fold = dataset.folds[1]
    known = set(fold.train) | set(fold.valid)
    others = tuple(utt for utt in dataset.utts if utt not in known)
    assert set(fold.test) <= set(others)
    whole = scores_of(dataset, tmp_path / "x", [fold])
    spoilt = scores_of(dataset, tmp_path / "y", [fold], spoilt=others)
    pd.testing.assert_frame_equal(whole, spoilt)


def test_threads_change_nothing(dataset, tmp_path):
    one = scores_of(dataset, tmp_path / "x", dataset.folds[:2])
    two = scores_of(dataset, tmp_path / "y", dataset.folds[:2], threads=2)
    pd.testing.assert_frame_equal(one, two)


def test_statistics_that_are_damaged_are_one_line(dataset, tmp_path):
    statistics = made(dataset, tmp_path / "x", {})
    (tmp_path / "x/000000.npy").write_bytes(b"no")
    with pytest.raises(TrnetError, match="000000.npy"):
        score_layers(dataset, {CLEAN: statistics}, dataset.folds[:1], 1)


def frame(uars: dict[tuple[int, str, str], float]) -> pd.DataFrame:
    rows = [(fold, f"S{fold}", layer, 1e-3, condition, uar) for (fold, layer, condition), uar in uars.items()]
    return pd.DataFrame(rows, columns=["fold", "valid_speaker", "layer", "cost", "condition", "uar"])


FOUND = frame(
    {
        (1, "0", "clean"): 70.0,
        (1, "0", "esc_10db"): 50.0,
        (1, "1", "clean"): 60.0,
        (1, "1", "esc_10db"): 61.0,
        (2, "0", "clean"): 80.0,
        (2, "0", "esc_10db"): 40.0,
        (2, "1", "clean"): 80.0,
        (2, "1", "esc_10db"): 40.0,
    }
)


def test_the_mean_over_conditions_decides_and_the_first_of_equals():
    assert preferred_layers(FOUND) == {1: "1", 2: "0"}


def test_the_error_is_that_of_the_mean_over_folds():
    summary = over_folds(FOUND).set_index(["layer", "condition"])
    assert summary.loc[("0", "clean")].tolist() == [75.0, pytest.approx(5.0)]  # 10 / sqrt(2) / sqrt(2)
    assert over_folds(FOUND[FOUND["fold"] == 1])["error"].isna().all()


def test_the_page_has_each_number_and_the_best_in_bold():
    page = layers_markdown(FOUND, "Layers", {"Corpus": "tiny"})
    assert "| 0 | **75.0 ± 5.0** | 45.0 ± 5.0 | 60.0 ± 0.0 |" in page
    assert "| 1 | 70.0 ± 10.0 | **50.5 ± 10.5** | **60.2 ± 0.2** |" in page
    assert "Fold 1 (S1)" in page and "1: 1, 2: 0" in page and "- Corpus: tiny" in page and "esc 10 dB" in page
    read = pd.read_csv(io.StringIO(layers_csv(FOUND)), dtype={"layer": str})
    pd.testing.assert_frame_equal(read, FOUND, check_dtype=False)


def test_the_page_compares_with_middle_fold_by_fold():
    page = layers_markdown(FOUND.replace({"layer": {"1": "middle"}}), "Layers", {})
    assert "| 0 | **75.0 ± 5.0** | 45.0 ± 5.0 | 60.0 ± 0.0 | -0.2 ± 0.2 |" in page
    assert "mean - middle" in page and "mean - middle" not in layers_markdown(FOUND, "Layers", {})


def test_the_picture_is_drawn_for_one_fold_and_several():
    for scores in (FOUND, FOUND[FOUND["fold"] == 1]):
        image = imread(io.BytesIO(layers_png(scores, "Layers")))
        assert min(image.shape[:2]) > 300 and image[..., :3].std() > 0.05
    assert layers_png(FOUND, "Layers") == layers_png(FOUND, "Layers")
