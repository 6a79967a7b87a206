"""Add a system from elsewhere, known by its predictions (CSV), to an experiment: stage 7 then reports on it too.

The CSV has the columns utt_id,label,condition: the utterance, the predicted class, and clean or e.g. esc_10db.
"""

import sys
from argparse import ArgumentTypeError
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_config_options, config_from, make_parser
from trnet.eval.added import add_peer
from trnet.folds import pick_folds
from trnet.kaldi.validate import valid_data_dir
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError, one_line_errors


def renaming(text: str) -> tuple[str, str]:
    """Type of a word ``NAME=CLASS``."""
    name, _, label = text.partition("=")
    if not name or not label:
        raise ArgumentTypeError(f"'{text}' is not NAME=CLASS")
    return name, label


def get_parser() -> Parser:
    """Options of adding a system."""
    parser = make_parser("add_system", __doc__)
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=types.path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--exp", type=types.path, default=Path("exp"), help="folder of runs")
    parser.add_argument(
        "--folds", type=types.list_of(types.fold), default=[], help="folds that it must have (default: all)"
    )
    parser.add_argument("--name", required=True, help="name of the system, in letters, digits and _ . + -")
    parser.add_argument("--title", help="what tables call it (default: as before, or the name)")
    parser.add_argument("--predictions", type=types.path, required=True, help="CSV of its predictions")
    parser.add_argument(
        "--labels",
        type=types.list_of(renaming),
        default=[],
        metavar="NAME=CLASS",
        help='what the CSV calls classes by, e.g. "angry=ang happy=hap"',
    )
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Check the predictions and put them beside the experiment's runs."""
    opts = get_parser().parse_args(args)
    if not opts.exp.is_dir():
        raise TrnetError(f"--exp {opts.exp}: no such experiment; name the folder of its runs, or train them first")
    data = valid_data_dir(opts.corpus_data, ("utt2emo", "utt2group", "utt2dur"), audio=False)
    experiment = Experiment(config_from(opts), data, Path("dump"), opts.exp)
    folds = [fold.number for fold in pick_folds(experiment.dataset.folds, opts.folds)]
    add_peer(experiment, opts.name, opts.predictions, opts.title, dict(opts.labels), folds)


if __name__ == "__main__":
    sys.exit(main())
