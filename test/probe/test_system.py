"""The linear probe as a system: who trains it, who chooses, and what it leaves."""

import shutil
from collections import Counter

import numpy as np
import pytest
from near import assert_near
from tiny import Tiny, change_features

from trnet.conditions import CLEAN, Condition
from trnet.probe.system import Pooled, dumped_features, pool_features, predict_folds
from trnet.runs.dataset import Dataset
from trnet.utils.errors import TrnetError

ESC, RAIN = Condition("esc", 0.0), Condition("rain", 0.0)


@pytest.fixture(scope="module")
def dataset(tiny: Tiny) -> Dataset:
    return Dataset(tiny.data, tiny.config)


@pytest.fixture
def pooled(dataset) -> dict[Condition, np.ndarray]:
    """Statistics that say the class, less clearly in noise."""
    rng = np.random.default_rng(0)
    labels = np.array([dataset.labels[utt] for utt in dataset.utts])
    found = {}
    for condition, apart in ((CLEAN, 5.0), (ESC, 2.0), (RAIN, 1.0)):
        found[condition] = rng.normal(0, 1, (len(labels), 8)).astype(np.float32)
        found[condition][np.arange(len(labels)), labels] += apart
    return found


def predict(dataset: Dataset, pooled: Pooled, folds=None, threads: int = 1):
    return predict_folds(dataset, pooled, [CLEAN, ESC], list(pooled), folds or dataset.folds[:2], threads)


def test_each_test_utterance_is_predicted_once_under_each_condition(dataset, pooled):
    rows = predict(dataset, pooled)
    expected = [
        (fold.number, name, utt)
        for fold in dataset.folds[:2]
        for name in ("clean", "esc_0db", "rain_0db")
        for utt in fold.test
    ]
    assert [(row.fold, row.condition, row.utt_id) for row in rows] == expected
    right = Counter(row.condition for row in rows if dataset.classes.index(row.label) == dataset.labels[row.utt_id])
    assert right["clean"] >= 15 and right["clean"] > right["rain_0db"]
    for row in rows:
        assert row.label == max(row.probabilities, key=row.probabilities.get)
        assert list(row.probabilities) == list(dataset.classes) and abs(sum(row.probabilities.values()) - 1) < 1e-5


def test_neither_test_speaker_nor_unmatched_noise_has_a_say_in_training(dataset, pooled):
    fold = dataset.folds[0]
    before = [row for row in predict(dataset, pooled, [fold]) if row.condition == "esc_0db"]
    changed = {condition: values.copy() for condition, values in pooled.items()}
    changed[RAIN][:] = 1e3
    changed[CLEAN][[utt in fold.test for utt in dataset.utts]] = -1e3
    assert [row for row in predict(dataset, changed, [fold]) if row.condition == "esc_0db"] == before


def test_threads_change_nothing(dataset, pooled):
    assert predict(dataset, pooled) == predict(dataset, pooled, threads=2)


def test_what_is_pooled_are_the_dumped_features(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    condition = Condition("esc", 10.0)
    assert dumped_features(experiment, [CLEAN, condition]).keys() == {"clean", "esc_10db"}
    found = pool_features(experiment, [CLEAN, condition], 1)
    utts = experiment.dataset.utts
    for one in (CLEAN, condition):
        assert found[one].shape == (len(utts), 48) and found[one].dtype == np.float32
        matrix = experiment.reader.matrix("noisy", utts[9], one)
        assert_near(found[one][9], np.concatenate([matrix.mean(axis=0), matrix.std(axis=0)]))


def test_features_that_are_missing_damaged_or_of_other_settings_are_one_line(tiny, tmp_path):
    with pytest.raises(TrnetError, match="tiny_esc_7db"):
        dumped_features(tiny.experiment(tmp_path), [Condition("esc", 7.0)])
    dump = shutil.copytree(tiny.dump, tmp_path / "dump")
    experiment = tiny.experiment(tmp_path, dump)
    utt = experiment.dataset.utts[5]
    change_features(dump / "raw/tiny", utt, lambda matrix: matrix[:, :5])
    with pytest.raises(TrnetError, match=utt):
        pool_features(experiment, [CLEAN], 1)
