"""Linear probes of a pretrained network's layers on validation speakers, or of the features as one more system.

Without --test: which layer suits the corpus? Mean and standard deviation over time of every hidden state, logistic
regression on a fold's training speakers, UAR on its validation speakers, on clean speech and in the matched noise.
The choice is one for each fold, or is made before any score is seen: over all folds every test speaker also validates
once, so that one layer chosen for all folds would have been chosen with the speakers that are tested.
"""

import logging
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    add_pipes_option,
    config_from,
    device_from,
    make_parser,
)
from trnet.conditions import CLEAN, noisy_conditions, training_conditions
from trnet.config import Config
from trnet.config.features import Upstream
from trnet.eval.peers import write_peer_csv
from trnet.features.upstream.weights import find_folder, weights_digest
from trnet.folds import Fold, pick_folds
from trnet.kaldi.validate import valid_data_dir
from trnet.probe.classifier import COSTS
from trnet.probe.layer_statistics import make_layer_statistics
from trnet.probe.layers import layers_csv, layers_markdown, layers_png, preferred_layers, score_layers
from trnet.probe.system import dumped_features, pool_features, predict_folds
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import write_bytes, write_text
from trnet.utils.locks import only_one
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp

log = logging.getLogger(__name__)

FOLDER = "probe"  # below exp
LAYERS, SYSTEM = ("layers.md", "layers.csv", "layers.png"), ("linear_probe.csv",)


def get_parser() -> Parser:
    """Options of the probe."""
    parser = make_parser("probe_layers", __doc__)
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=types.path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--dump", type=types.path, default=Path("dump"), help="folder of features")
    parser.add_argument("--exp", type=types.path, default=Path("exp"), help="folder of runs; results go to EXP/probe")
    parser.add_argument(
        "--folds", type=types.list_of(types.fold), default=[], help="folds, counted from 1 (default: all)"
    )
    parser.add_argument("--nj", type=types.processes, default=1, help="processes, and probes trained at a time")
    parser.add_argument(
        "--test",
        type=types.true_or_false,
        default=False,
        metavar="{true,false}",
        help="true: train the probe on the features of the YAML, dumped by stage 4, under the conditions of training, "
        "and write linear_probe.csv, its predictions for each fold's test speaker, for trnet.bin.add_system; --snrs "
        "then are those of the whole experiment, without --test those that are probed (default: two)",
    )
    parser.add_argument("--noises", type=types.list_of(types.noise), default=[], help="noise sets of --test true")
    add_device_option(parser)
    add_pipes_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Probe all layers, or predict the test speakers."""
    opts = get_parser().parse_args(args)
    if opts.test != bool(opts.noises):
        raise TrnetError(
            "--noises: name the noise sets to test in, e.g. 'esc nonspeech'"
            if opts.test
            else "--noises: is for --test true; validation knows the matched noise alone"
        )
    data = valid_data_dir(opts.corpus_data, ("utt2emo", "utt2group", "utt2dur"), audio=False)
    experiment = Experiment(config_from(opts), data, opts.dump, opts.exp)
    folds = pick_folds(experiment.dataset.folds, opts.folds)
    out = opts.exp / FOLDER
    with only_one(out):
        if opts.test:
            predict_test(experiment, folds, out, opts)
        else:
            probe_layers(experiment, folds, out, opts)


def two_snrs(config: Config) -> list[float]:
    """The middle one and the lowest of the SNRs that training uses, in dB."""
    snrs = sorted(config.simulation.snrs)
    return list(dict.fromkeys([snrs[len(snrs) // 2], snrs[0]]))


def probe_layers(experiment: Experiment, folds: list[Fold], out: Path, opts: Namespace) -> None:
    """Write ``layers.md``, ``layers.csv`` and ``layers.png``, unless they are there."""
    config, dataset, device = experiment.config, experiment.dataset, device_from(opts)
    if not isinstance(config.features, Upstream):
        raise TrnetError(f"features.type: {config.features.type} has no layers; give upstream, or use --test true")
    conditions = training_conditions(config.simulation.train_noise, opts.snrs or two_snrs(config))
    folders = [experiment.data.path.parent / condition.data_name(dataset.corpus) for condition in conditions]
    sets = [valid_data_dir(folder, ("wav.scp",), allow_pipes=opts.allow_pipes) for folder in folders]
    found = make_layer_statistics(
        list(zip(sets, conditions, strict=True)), dataset.utts, config.features, opts.dump, opts.nj, device
    )
    statistics = dict(zip(conditions, found, strict=True))
    made_from: dict[str, Any] = {"statistics": {name.name: each.digest() for name, each in statistics.items()}}
    stamp = Stamp(out, "layers", made_from | _made_from(experiment, folds))
    if _is_there(stamp, LAYERS):
        return
    scores = score_layers(dataset, statistics, folds, opts.nj)
    name = f"Layers of {config.features.network_name} on {dataset.corpus}"
    network = find_folder(config.features.model, config.features.revision)
    header = {
        "Corpus": f"{dataset.corpus}, {len(dataset.utts)} utterances, classes {' '.join(dataset.classes)}",
        "Folds": f"{len(folds)} of {len(dataset.folds)}",
        "Network": f"{config.features.network_name}, weights {weights_digest(network)[:16]} (SHA-256)",
        "Made with": f"commit {commit()} on {machine(device)}",
        "Versions": versions(),
    }
    stamp.begin(clear=lambda: None, sweep=False)
    write_text(out / "layers.csv", layers_csv(scores))
    write_bytes(out / "layers.png", layers_png(scores, name))
    write_text(out / "layers.md", layers_markdown(scores, name, header))
    stamp.finish({file: file_digest(out / file) for file in LAYERS})
    chosen = ", ".join(f"{fold}: {layer}" for fold, layer in preferred_layers(scores).items())
    log.info("%s; layers that validation speakers prefer, fold by fold: %s", (out / "layers.md").absolute(), chosen)


def predict_test(experiment: Experiment, folds: list[Fold], out: Path, opts: Namespace) -> None:
    """Write ``linear_probe.csv``, unless it is there."""
    simulation = experiment.config.simulation
    trained_on = training_conditions(simulation.train_noise, simulation.snrs)
    tested = [CLEAN, *noisy_conditions(opts.noises, simulation.all_snrs)]
    conditions = list(dict.fromkeys([*tested, *trained_on]))
    features = dumped_features(experiment, conditions)
    made_from: dict[str, Any] = {"features": features, "tested": [condition.name for condition in tested]}
    stamp = Stamp(out, "linear_probe", made_from | _made_from(experiment, folds))
    if _is_there(stamp, SYSTEM):
        return
    pooled = pool_features(experiment, conditions, opts.nj)
    rows = predict_folds(experiment.dataset, pooled, trained_on, tested, folds, opts.nj)
    path = out / SYSTEM[0]
    stamp.begin(clear=lambda: None, sweep=False)
    write_peer_csv(path, rows)
    stamp.finish({path.name: file_digest(path)})
    log.info('%s; a row of the table by run.sh --stage 7 --peers "linear_probe=%s"', path.absolute(), path)


def _made_from(experiment: Experiment, folds: list[Fold]) -> dict[str, Any]:
    parts = [[fold.number, fold.train, fold.valid, fold.test] for fold in folds]
    return {"folds": digest(parts), "labels": digest(experiment.dataset.labels), "costs": COSTS}


def _is_there(stamp: Stamp, files: tuple[str, ...]) -> bool:
    """Whether a step was finished, and its files are as they were written."""
    known = read_stamp(stamp.path).get("results", {})
    paths = [stamp.folder / name for name in files]
    if not stamp.done() or any(not path.is_file() or file_digest(path) != known.get(path.name) for path in paths):
        return False
    log.info("%s: up to date", ", ".join(map(str, paths)))
    return True


if __name__ == "__main__":
    sys.exit(main())
