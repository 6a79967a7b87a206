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
from trnet.eval.peers import write_peer_csv
from trnet.folds import Fold, pick_folds
from trnet.kaldi.validate import valid_data_dir
from trnet.probe.choice import is_there, probe_layers
from trnet.probe.classifier import COSTS
from trnet.probe.system import dumped_features, pool_features, predict_folds
from trnet.runs.experiment import Experiment
from trnet.runs.layer_choice import FOLDER
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest

log = logging.getLogger(__name__)

SYSTEM = "linear_probe.csv"


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
    if opts.test:
        predict_test(experiment.with_layers(), folds, opts)
    else:
        probe_layers(experiment, folds, opts.nj, device_from(opts), opts.snrs or (), opts.allow_pipes)


def predict_test(experiment: Experiment, folds: list[Fold], opts: Namespace) -> None:
    """Write ``linear_probe.csv``, unless it is there."""
    if not experiment.config.folds.hold_out:
        raise TrnetError("folds.kind all: nobody is held out, so that nobody can be tested; hold speakers out")
    simulation, dataset, out = experiment.config.simulation, experiment.dataset, experiment.exp / FOLDER
    trained_on = training_conditions(simulation.train_noise, simulation.snrs)
    tested = [CLEAN, *noisy_conditions(opts.noises, simulation.all_snrs)]
    conditions = list(dict.fromkeys([*tested, *trained_on]))
    parts = experiment.parts(folds)
    made_from = {
        "features": {part.config.features.folder: dumped_features(part, conditions) for part, _ in parts},
        "tested": [condition.name for condition in tested],
        "folds": digest([[fold.number, fold.train, fold.valid, fold.test] for fold in folds]),
        "labels": digest(dataset.labels),
        "costs": COSTS,
    }
    stamp, path = Stamp(out, "linear_probe", made_from), out / SYSTEM
    with only_one(out):
        if is_there(stamp, [SYSTEM]):
            return
        rows = []
        for part, members in parts:
            pooled = pool_features(part, conditions, opts.nj)
            rows += predict_folds(dataset, pooled, trained_on, tested, members, opts.nj)
        stamp.begin(clear=lambda: None, sweep=False)
        write_peer_csv(path, sorted(rows, key=lambda row: row.fold or 0))
        stamp.finish({path.name: file_digest(path)})
    log.info('%s; a row of the table by run.sh --stage 7 --peers "linear_probe=%s"', path.absolute(), path)


if __name__ == "__main__":
    sys.exit(main())
