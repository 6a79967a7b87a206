"""Stages 5 and 6: train systems on folds with seeds."""

import sys

from trnet.bin.experiment_options import add_experiment_options, experiment_from
from trnet.bin.options import Parser, make_parser
from trnet.errors import one_line_errors
from trnet.experiment import TEACHER
from trnet.folds import pick_folds


def get_parser() -> Parser:
    """Options of stages 5 and 6."""
    parser = make_parser("train", __doc__)
    add_experiment_options(parser)
    parser.add_argument(
        "--part", choices=("teacher", "others"), default="others", help="teacher: Baseline-c; others: all but it"
    )
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Train every run that is not finished yet."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    names = opts.systems or list(experiment.config.systems)
    folds = pick_folds(experiment.folds, opts.folds)
    if opts.part == "teacher":
        wanted = TEACHER in names or any(experiment.config.system(n).needs_teacher for n in names)
        names = [TEACHER] if wanted else []
    else:
        names = [name for name in names if name != TEACHER]
    experiment.link_shared_systems(names)
    for fold in folds:
        for seed in opts.seeds:
            for name in names:
                experiment.train(name, fold, seed)


if __name__ == "__main__":
    sys.exit(main())
