"""Stages 5 and 6: train systems on folds with seeds."""

import contextlib
import logging
import os
import sys
from functools import partial

from trnet.bin.experiment_options import add_experiment_options, add_share_options, at_once, experiment_from
from trnet.bin.options import Parser, add_wandb_option, check_gpus, check_wandb, device_from, make_parser
from trnet.config import Config
from trnet.folds import pick_folds
from trnet.runs.experiment import TEACHER
from trnet.runs.record import configuration_file
from trnet.runs.spec import RunSpec
from trnet.train.device_runs import run_on_gpu
from trnet.train.fast_jobs import shares_process
from trnet.train.session import Session
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.workers import own_share, run_all

log = logging.getLogger(__name__)

Group = tuple[RunSpec, ...]


def get_parser() -> Parser:
    """Options of stages 5 and 6."""
    parser = make_parser("train", __doc__)
    add_experiment_options(parser)
    add_share_options(parser)
    add_wandb_option(parser)
    parser.add_argument("--part", choices=("teacher", "others"), default="others", help="Baseline-c, or all but it")
    return parser


def train_group(session: Session, groups: list[Group], group: Group, position: int | None) -> None:
    """Train the unfinished runs of a group, one of `groups`, whose features are read once for all."""
    fold, runs = group[0].fold, [run for each in groups for run in each]
    mine = session.of(fold)
    with contextlib.suppress(TrnetError):  # reported by the run that needs the features
        mine.hold(session.experiment.beside(runs, fold))
    mine.train_group(group, position)


def title_of(group: Group) -> str:
    """The runs of a group by name."""
    return " ".join(run.title for run in group)


def _teacher_seeds(config: Config, name: str, seeds: list[int]) -> set[int]:
    """Seeds of the teachers that runs of a system with these seeds need; of the teacher itself, these."""
    return set(seeds) if name == TEACHER else {each for seed in seeds for each in config.teacher_seeds(name, seed)}


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Train every run that is not finished yet."""
    args = sys.argv[1:] if args is None else args
    opts = get_parser().parse_args(args)
    check_wandb(opts)
    if opts.ngpu > 1 and "RANK" not in os.environ:
        check_gpus(opts)
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(opts.ngpu))
        os.execv(sys.executable, [sys.executable, *torchrun, "-m", "trnet.bin.train", *args])
    experiment = experiment_from(opts)
    about = configuration_file(opts.config)
    session = Session(experiment, device_from(opts), wandb=opts.wandb or None, about=about)
    names = opts.systems or list(experiment.config.systems)
    folds = pick_folds(experiment.dataset.folds, opts.folds)
    seeds = opts.seeds
    if opts.part == "teacher":
        wanted = TEACHER in names or any(map(experiment.config.needs_teacher, names))
        seeds = sorted({seed for name in names for seed in _teacher_seeds(experiment.config, name, opts.seeds)})
        names = [TEACHER] if wanted else []
    else:
        names = [name for name in names if name != TEACHER]
    if not names:
        what = "no system needs it" if opts.part == "teacher" else f"{TEACHER} is trained by --part teacher"
        log.info("--part %s: nothing to train, %s", opts.part, what)
    experiment.check_features(names)
    experiment.link_shared_systems(names)
    groups = experiment.unfinished(own_share(experiment.groups(experiment.runs(names, folds, seeds))))
    nj = max(1, min(at_once(opts), len(groups)))
    if shares_process(experiment.config, session.device, names):
        work = partial(train_group, session, groups)
        run_on_gpu(work, groups, nj, session.device, opts.threads, "train", title_of)
        return
    with session.sharing([run for group in groups for run in group], nj) as mine:
        run_all(partial(train_group, mine, groups), groups, nj, session.device, opts.threads, "train")


if __name__ == "__main__":
    sys.exit(main())
