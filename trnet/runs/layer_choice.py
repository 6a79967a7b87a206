"""The layer that each fold has where `features.layer` is `auto`, and what it is chosen from.

``<exp>/probe/layer_of_fold.csv`` names what linear probes (`trnet.probe`), trained on a fold's training speakers,
prefer on its validation speakers. Its stamp is that of the probes, ``.layers.json`` beside it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trnet.conditions import Condition, training_conditions
from trnet.config import Config, Upstream
from trnet.features.archive import made_from
from trnet.folds import Fold
from trnet.runs.dataset import Dataset
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp

FOLDER, STEP, TABLE = "probe", "layers", "layer_of_fold.csv"
COLUMNS = ("fold", "valid_speaker", "layer")
WAY_OUT = "run stage 4 without --shard, or python -m trnet.bin.probe_layers on all folds"

Layer = int | str
"""A value of `features.layer` that is no list."""


def probed_conditions(config: Config, snrs: Sequence[float] = ()) -> list[Condition]:
    """Clean speech and the matched noise at `snrs`; none: at the middle one and the lowest of training's, in dB."""
    known = sorted(config.simulation.snrs)
    two = dict.fromkeys([known[len(known) // 2], known[0]])
    return training_conditions(config.simulation.train_noise, list(snrs or two))


def network_record(options: Upstream) -> dict[str, Any]:
    """What decides the hidden states of a network, whichever layer: settings, digest of its weights, versions."""
    found = made_from(options.replace(layer="middle"))
    features, extractor = found["features"], found["extractor"]
    return {
        "features": {key: value for key, value in features.items() if key != "compression"},
        "extractor": {key: value for key, value in extractor.items() if key != "layers"},
    }


def choice_inputs(
    options: Upstream, dataset: Dataset, folds: Sequence[Fold], conditions: Sequence[Condition]
) -> dict[str, Any]:
    """All that decides the layers of folds but for the audio and the probes themselves, for a stamp."""
    return {
        "network": digest(network_record(options)),
        "conditions": [condition.name for condition in conditions],
        "folds": digest([[fold.number, fold.train, fold.valid] for fold in folds]),
        "labels": digest(dataset.labels),
    }


def layer_table(folds: Sequence[Fold], layers: Mapping[int, str]) -> str:
    """The text of ``layer_of_fold.csv``: the layer of each fold by its number."""
    text = io.StringIO()
    rows = [(fold.number, fold.valid_speaker, layers[fold.number]) for fold in folds]
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def read_layers(exp: Path, config: Config, dataset: Dataset) -> dict[int, Layer]:
    """The layer of each fold that has one, by its number.

    Raises:
        TrnetError: If none are chosen yet, or they were chosen for other folds, conditions, labels or another network.
    """
    assert isinstance(config.features, Upstream)
    path, known = exp / FOLDER / TABLE, read_stamp(exp / FOLDER / f".{STEP}.json")
    if known.get("state") != "done" or not path.is_file():
        raise TrnetError(f"{path}: features.layer is auto, and layers are not chosen yet; {WAY_OUT}")
    if known.get("results", {}).get(TABLE) != file_digest(path):
        raise TrnetError(f"{path}: is not as it was written; {WAY_OUT}")
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    layers = {int(row["fold"]): int(row["layer"]) if row["layer"].isdigit() else row["layer"] for row in rows}
    folds = [fold for fold in dataset.folds if fold.number in layers]
    wanted = choice_inputs(config.features, dataset, folds, probed_conditions(config))
    changed = [name for name in Stamp(path.parent, STEP, wanted).changed() if name in wanted]
    if changed:
        raise TrnetError(f"{path}: was chosen with other {', '.join(changed)} than this configuration's; {WAY_OUT}")
    return layers
