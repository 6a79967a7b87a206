"""The layer of each fold: what it is chosen from, and which files are not believed."""

import shutil
from dataclasses import replace

import pytest
from lines import assert_names
from tiny import CONFIG
from upstreams import make_upstream

from trnet.config import Config, build
from trnet.runs.dataset import Dataset
from trnet.runs.layer_choice import choice_inputs, layer_table, probed_conditions, read_layers
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.stamp import Stamp, file_digest


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    network = make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "net")
    return build(Config, {**CONFIG, "features": {"type": "upstream", "model": str(network), "layer": "auto"}})


@pytest.fixture(scope="module")
def dataset(tiny, config) -> Dataset:
    return Dataset(tiny.data, config)


@pytest.fixture(scope="module")
def chosen(config, dataset, tmp_path_factory):
    """A folder of runs with the layers of folds 1 to 3; not to be changed."""
    exp, folds = tmp_path_factory.mktemp("exp"), dataset.folds[:3]
    made_from = choice_inputs(config.features, dataset, folds, probed_conditions(config)) | {"costs": [1]}
    stamp = Stamp(exp / "probe", "layers", made_from)
    stamp.begin()
    path = exp / "probe/layer_of_fold.csv"
    write_text(path, layer_table(folds, {1: "3", 2: "middle", 3: "10"}))
    stamp.finish({path.name: file_digest(path)})
    return exp


@pytest.fixture
def copy(chosen, tmp_path):
    return shutil.copytree(chosen, tmp_path / "exp")


@pytest.mark.parametrize(("snrs", "two"), [([20, 15, 10, 5, 0], [10, 0]), ([10, 0], [10, 0]), ([5], [5])])
def test_two_snrs_are_probed_if_none_is_named(config, snrs, two):
    changed = config.replace(simulation=config.simulation.replace(snrs=snrs))
    assert [condition.snr_db for condition in probed_conditions(changed)] == [None, *two]
    assert [condition.name for condition in probed_conditions(changed, [7])] == ["clean", "esc_7db"]


def test_the_layer_of_each_fold_is_read(config, dataset, chosen):
    assert (chosen / "probe/layer_of_fold.csv").read_text().splitlines()[:2] == ["fold,valid_speaker,layer", "1,S1M,3"]
    assert read_layers(chosen, config, dataset) == {1: 3, 2: "middle", 3: 10}


def test_what_decides_no_layer_changes_nothing(config, dataset, chosen):
    """Nor do fold's test speakers."""
    features = config.features.replace(compression=0)
    training = config.training.replace(lr=0.5)
    assert read_layers(chosen, config.replace(features=features, training=training), dataset)
    blind = Dataset(dataset.data, config)
    blind.__dict__["folds"] = [replace(fold, test=()) for fold in dataset.folds]
    assert read_layers(chosen, config, blind)


def test_other_training_speakers_are_noticed(config, dataset, chosen):
    other = Dataset(dataset.data, config)
    other.__dict__["folds"] = [replace(fold, train=fold.train[1:]) for fold in dataset.folds]
    with pytest.raises(TrnetError) as error:
        read_layers(chosen, config, other)
    assert_names(str(error.value), "layer_of_fold.csv folds")


def changed_by_hand(folder) -> None:
    path = folder / "layer_of_fold.csv"
    path.write_text(path.read_text().replace("middle", "4"))


def stopped(folder) -> None:
    path = folder / ".layers.json"
    path.write_text(path.read_text().replace('"done"', '"begun"'))


@pytest.mark.parametrize(
    "harm",
    [
        changed_by_hand,
        stopped,
        lambda folder: (folder / "layer_of_fold.csv").unlink(),
        lambda folder: (folder / ".layers.json").unlink(),
        lambda folder: (folder / ".layers.json").write_text("{"),
    ],
)
def test_a_choice_that_is_not_whole_is_one_line(config, dataset, copy, harm):
    harm(copy / "probe")
    with pytest.raises(TrnetError) as error:
        read_layers(copy, config, dataset)
    assert_names(str(error.value), "probe/layer_of_fold.csv stage 4 trnet.bin.probe_layers")
