"""Stage 7: score the runs; results.csv, statistics.csv, predictions.csv, RESULTS.md, figures and report.html."""

import contextlib
import logging
import sys
from functools import partial
from pathlib import Path

import torch

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, add_share_options, at_once, experiment_from
from trnet.bin.options import Parser, device_from, make_parser
from trnet.conditions import CLEAN, Condition, noisy_conditions
from trnet.eval.added import find_peers
from trnet.eval.other_corpus import OtherCorpus, other_corpus
from trnet.eval.run_predictions import predict_run
from trnet.eval.run_report import RunReport
from trnet.eval.statistics import FEWEST
from trnet.eval.tables import read_reference
from trnet.folds import pick_folds
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.train.device_runs import run_on_gpu
from trnet.train.session import Session
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import read_text
from trnet.utils.workers import run_all

log = logging.getLogger(__name__)


def get_parser() -> Parser:
    """Options of stage 7."""
    parser = make_parser("score", __doc__)
    add_experiment_options(parser)
    add_share_options(parser)
    parser.add_argument("--noises", type=types.list_of(types.noise), required=True, help='noise sets, e.g. "esc musan"')
    parser.add_argument("--test-corpus", type=types.path, help="another data dir, e.g. ../../emodb/ser1/data/emodb")
    parser.add_argument("--reference", type=types.path, help="CSV of published figures to print beside")
    parser.add_argument(
        "--notes",
        type=types.path,
        help="text file with notes on the results; its lines 'noise NAME: KIND, ...' say what a noise set is",
    )
    parser.add_argument(
        "--report-seed",
        type=types.count(0, types.LARGEST_SEED),
        default=0,
        help="seed of resampling, t-SNE, choice of audio",
    )
    parser.add_argument("--resamples", type=types.count(FEWEST, 1_000_000), default=2000, help="of an interval")
    parser.add_argument(
        "--permutations",
        type=types.count(FEWEST, 10_000_000),
        default=9999,
        help="assignments of signs in a paired test",
    )
    return parser


def score_run(
    session: Session,
    runs: list[RunSpec],
    conditions: list[Condition],
    other: OtherCorpus | None,
    run: RunSpec,
    _position: int | None,
) -> None:
    """Predict with one run."""
    if session.device.type == "cuda" and other is None:
        with contextlib.suppress(TrnetError):  # reported by the run that needs the features
            mine = session.experiment.beside(runs, run.fold)
            session.of(run.fold).hold_for_scoring(mine, [CLEAN, *conditions])
    predict_run(session, run, conditions, other)


def check_runs(
    experiment: Experiment, runs: list[RunSpec], conditions: list[Condition], other: OtherCorpus | None
) -> None:
    """Say once, before the work, what many runs would fail of.

    Raises:
        TrnetError: If runs were not trained at all, or there are no features of a condition.
    """
    if untrained := [run for run in runs if not run.best.is_file()]:
        count = f" ({len(untrained)} of {len(runs)} runs are not)" if len(runs) > 1 else ""
        mend = "run stages 5 and 6, or name --folds and --systems whose runs are"
        raise TrnetError(f"{untrained[0].folder}: not trained{count}; {mend}")
    for run in {run.system: run for run in runs}.values():
        tested = experiment.of(run.fold) if other is None else other.of(run.fold)
        tested.features_of(run.system, [CLEAN, *conditions])


def read_notes(path: Path) -> str:
    """The text of a file of notes; TrnetError if it cannot be read."""
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise TrnetError(f"{path}: cannot be read ({reason}); name a text file for --notes") from None


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Predict with every run that was asked for, then write the report of them, unless it is there."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    other = other_corpus(experiment, opts.test_corpus) if opts.test_corpus else None
    if other is not None and opts.reference:
        raise TrnetError("--reference: its figures are not of --test-corpus; leave one of the two out")
    if other is None and not experiment.config.folds.hold_out:
        log.info("folds.kind %s: nobody is held out, so that there is nothing to score", experiment.config.folds.kind)
        return
    conditions = noisy_conditions(opts.noises, experiment.config.simulation.all_snrs)
    names = opts.systems or list(experiment.config.systems)
    runs = experiment.runs(names, pick_folds(experiment.dataset.folds, opts.folds), opts.seeds)
    nj = max(1, min(at_once(opts), len(runs)))
    device = device_from(opts)
    session = Session(experiment, device, 1 if device.type == "cuda" else nj)  # there runs are threads with one cache
    report = RunReport(
        session,
        runs,
        conditions,
        other,
        read_reference(opts.reference) if opts.reference else None,
        read_notes(opts.notes) if opts.notes else None,
        opts.report_seed,
        opts.resamples,
        opts.permutations,
        () if other else find_peers(experiment),
    )
    if report.up_to_date():
        return
    check_runs(experiment, runs, conditions, other)
    _ = report.added  # what does not fit is said before the work
    work = partial(score_run, session, runs, conditions, other)
    ordered = sorted(runs, key=lambda run: experiment.of(run.fold).config.features.folder)  # layer by layer
    if session.device.type == "cuda":
        run_on_gpu(work, ordered, nj, session.device, opts.threads, "score", lambda run: run.title)
    else:
        run_all(work, ordered, nj, session.device, opts.threads, "score")
    torch.set_num_threads(opts.threads)  # as in each run: representations are the same, whoever computes them
    report.write()


if __name__ == "__main__":
    sys.exit(main())
