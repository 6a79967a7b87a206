"""Stages 5 and 6: train systems on folds with seeds."""

import contextlib
import os
import sys
from dataclasses import replace
from functools import partial

from trnet.bin.experiment_options import add_experiment_options, add_share_options, at_once, experiment_from
from trnet.bin.options import Parser, add_wandb_option, check_gpus, make_parser
from trnet.folds import pick_folds
from trnet.runs.experiment import TEACHER, Experiment, Group
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.workers import own_share, run_all


def get_parser() -> Parser:
    """Options of stages 5 and 6."""
    parser = make_parser("train", __doc__)
    add_experiment_options(parser)
    add_share_options(parser)
    add_wandb_option(parser)
    parser.add_argument(
        "--part", choices=("teacher", "others"), default="others", help="teacher: Baseline-c; others: all but it"
    )
    return parser


def train_group(experiment: Experiment, groups: list[Group], group: Group, position: int | None) -> None:
    """Train the runs of a group that are not up to date, one of `groups`, whose features are read once for all."""
    with contextlib.suppress(TrnetError):  # what is wrong with features, the run that needs them says
        experiment.hold(groups)
    experiment.train_group(group, position)


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Train every run that is not finished yet."""
    args = sys.argv[1:] if args is None else args
    opts = get_parser().parse_args(args)
    if opts.ngpu > 1 and "RANK" not in os.environ:
        check_gpus(opts)
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(opts.ngpu))
        os.execv(sys.executable, [sys.executable, *torchrun, "-m", "trnet.bin.train", *args])
    experiment = replace(experiment_from(opts), wandb=opts.wandb or None)
    names = opts.systems or list(experiment.config.systems)
    folds = pick_folds(experiment.folds, opts.folds)
    if opts.part == "teacher":
        wanted = TEACHER in names or any(experiment.config.system(n).needs_teacher for n in names)
        names = [TEACHER] if wanted else []
    else:
        names = [name for name in names if name != TEACHER]
    if not names:
        what = "no system needs it" if opts.part == "teacher" else f"{TEACHER} is trained by --part teacher"
        print(f"--part {opts.part}: nothing to train, {what}")
    experiment.check_features(names)
    experiment.link_shared_systems(names)
    groups = experiment.pending(own_share(experiment.groups(names, folds, opts.seeds)))
    nj = max(1, min(at_once(opts), len(groups)))
    work = partial(train_group, replace(experiment, at_once=nj), groups)
    run_all(work, groups, nj, experiment.device, opts.threads, "train")


if __name__ == "__main__":
    sys.exit(main())
