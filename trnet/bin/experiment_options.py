"""Options of the entry points that work on an experiment's runs."""

from argparse import Namespace
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_config_options, add_device_option, check_systems, config_from
from trnet.folds import pick_folds
from trnet.kaldi.validate import valid_data_dir
from trnet.runs.experiment import Experiment


def add_experiment_options(parser: Parser) -> None:
    """What names an experiment's runs."""
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=types.path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--dump", type=types.path, default=Path("dump"), help="folder of features")
    parser.add_argument("--exp", type=types.path, default=Path("exp"), help="folder of runs")
    parser.add_argument("--systems", type=types.list_of(str), default=[], help="systems (default: all in the YAML)")
    parser.add_argument(
        "--folds", type=types.list_of(types.fold), default=[], help="folds, counted from 1 (default: all)"
    )
    parser.add_argument("--seeds", type=types.list_of(types.seed), default=[1], help="seeds")
    add_device_option(parser)


RUNS_A_GPU = 8  # more are not faster


def add_share_options(parser: Parser) -> None:
    """How many runs share the machine."""
    parser.add_argument("--nj", type=types.processes, default=1, help=f"runs at a time; on a GPU at most {RUNS_A_GPU}")
    parser.add_argument("--threads", type=types.processes, default=1, help="threads a run; last bits depend on it")


def at_once(args: Namespace) -> int:
    """Runs at a time in this process's share."""
    return min(args.nj, RUNS_A_GPU) if args.ngpu else args.nj


def experiment_from(args: Namespace) -> Experiment:
    """The experiment that the options name.

    Raises:
        TrnetError: For an unknown system, a wrong YAML, a missing data dir, or a fold whose layer is yet to be chosen.
    """
    config = config_from(args)
    check_systems(config, args)
    data = valid_data_dir(args.corpus_data, ("utt2emo", "utt2group", "utt2dur"), audio=False)
    experiment = Experiment(config, data, args.dump, args.exp).with_layers()
    experiment.parts(pick_folds(experiment.dataset.folds, args.folds))
    return experiment
