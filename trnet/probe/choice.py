"""The probes of an experiment's layers on disk, ``<exp>/probe/``, and the layer that each fold's validation prefers."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from trnet.config import Config, Upstream
from trnet.features.upstream.weights import find_folder, weights_digest
from trnet.folds import Fold
from trnet.kaldi.validate import valid_data_dir
from trnet.probe.classifier import COSTS
from trnet.probe.layer_statistics import make_layer_statistics
from trnet.probe.layers import layers_csv, layers_markdown, layers_png, preferred_layers, score_layers
from trnet.runs.experiment import Experiment
from trnet.runs.layer_choice import FOLDER, STEP, TABLE, choice_inputs, layer_table, probed_conditions
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes, write_text
from trnet.utils.locks import only_one
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.stamp import Stamp, file_digest, read_stamp

FILES = ("layers.md", "layers.csv", "layers.png", TABLE)
log = logging.getLogger(__name__)


def probe_layers(
    experiment: Experiment,
    folds: Sequence[Fold],
    nj: int,
    device: torch.device,
    snrs: Sequence[float] = (),
    allow_pipes: bool = False,
) -> None:
    """Write ``layers.md``, ``layers.csv``, ``layers.png`` and ``layer_of_fold.csv``, unless they are there.

    Args:
        experiment: Whose network, whatever its layer; its noisy sets have to be there.
        folds: Which ones.
        nj: Processes, and probes trained at a time.
        device: Where hidden states are computed.
        snrs: Of the matched noise, in dB; none: two of training's.
        allow_pipes: Data dirs may name programs.

    Raises:
        TrnetError: For features that have no layers, folds that nobody validates, or what `make_layer_statistics` and
            `score_layers` raise.
    """
    features, dataset, out = experiment.config.features, experiment.dataset, experiment.exp / FOLDER
    if not isinstance(features, Upstream):
        raise TrnetError(f"features.type: {features.type} has no layers; give upstream, or use --test true")
    if not all(fold.valid for fold in folds):
        raise TrnetError("folds.kind all: nobody validates, so that layers cannot be compared; hold speakers out")
    conditions = probed_conditions(experiment.config, snrs)
    folders = [experiment.data.path.parent / condition.data_name(dataset.corpus) for condition in conditions]
    sets = [valid_data_dir(folder, ("wav.scp",), allow_pipes=allow_pipes) for folder in folders]
    with only_one(out):
        found = make_layer_statistics(
            list(zip(sets, conditions, strict=True)), dataset.utts, features, experiment.dump, nj, device
        )
        statistics = dict(zip(conditions, found, strict=True))
        made_from: dict[str, Any] = {
            **choice_inputs(features, dataset, folds, conditions),
            "statistics": {condition.name: each.digest() for condition, each in statistics.items()},
            "costs": COSTS,
        }
        stamp = Stamp(out, STEP, made_from)
        if is_there(stamp, FILES):
            return
        scores = score_layers(dataset, statistics, folds, nj)
        layers = preferred_layers(scores)
        name = f"Layers of {features.network_name} on {dataset.corpus}"
        network = find_folder(features.model, features.revision)
        header = {
            "Corpus": f"{dataset.corpus}, {len(dataset.utts)} utterances, classes {' '.join(dataset.classes)}",
            "Folds": f"{len(folds)} of {len(dataset.folds)}",
            "Network": f"{features.network_name}, weights {weights_digest(network)[:16]} (SHA-256)",
            "Made with": f"commit {commit()} on {machine(device)}",
            "Versions": versions(),
        }
        stamp.begin(clear=lambda: None, sweep=False)
        write_text(out / "layers.csv", layers_csv(scores))
        write_bytes(out / "layers.png", layers_png(scores, name))
        write_text(out / "layers.md", layers_markdown(scores, name, header))
        write_text(out / TABLE, layer_table(folds, layers))
        stamp.finish({file: file_digest(out / file) for file in FILES})
    chosen = ", ".join(f"{fold}: {layer}" for fold, layer in layers.items())
    log.info("%s; layers that validation speakers prefer, fold by fold: %s", (out / "layers.md").absolute(), chosen)


def layer_configs(
    experiment: Experiment,
    nj: int,
    device: torch.device,
    shard: tuple[int, int] = (1, 1),
    allow_pipes: bool = False,
) -> list[Config]:
    """The configuration with each layer that a fold has where `features.layer` is `auto`, chosen here unless it was.

    Raises:
        TrnetError: Where only a `shard` is to be made and layers are yet to be chosen; else see `probe_layers`.
    """
    folds = experiment.dataset.folds
    if shard == (1, 1):
        probe_layers(experiment, folds, nj, device, allow_pipes=allow_pipes)
    parts = experiment.with_layers().parts(folds)
    named = [f"{part.config.features.folder} of {', '.join(str(fold.number) for fold in mine)}" for part, mine in parts]
    log.info("features.layer auto, by fold: %s", "; ".join(named))
    return [part.config for part, _ in parts]


def is_there(stamp: Stamp, files: Sequence[str]) -> bool:
    """Whether a step was finished, and its files are as they were written."""
    known = read_stamp(stamp.path).get("results", {})
    paths = [stamp.folder / name for name in files]
    if not stamp.done() or any(not path.is_file() or file_digest(path) != known.get(path.name) for path in paths):
        return False
    log.info("%s: up to date", ", ".join(map(str, paths)))
    return True
