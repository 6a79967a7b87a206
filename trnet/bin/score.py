"""Stage 7: score the runs; results.csv, statistics.csv, predictions.csv, RESULTS.md, figures and report.html."""

import sys
from argparse import Namespace
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, add_share_options, at_once, experiment_from
from trnet.bin.options import Parser, make_parser
from trnet.conditions import Condition, noisy_conditions
from trnet.eval.other_corpus import OtherCorpus, other_corpus, said_of_classes
from trnet.eval.predictions import Predictions, read_predictions, write_predictions
from trnet.eval.report import place_beside, write_report
from trnet.eval.report_data import Material, gather
from trnet.eval.report_stamp import digests_of, finished_report, report_inputs, report_stamp
from trnet.eval.run_predictions import are_whole, predict_run, predictions_path
from trnet.eval.statistics import FEWEST
from trnet.eval.tables import read_reference
from trnet.folds import Fold, pick_folds
from trnet.runs.experiment import Experiment
from trnet.runs.history import best_epoch
from trnet.runs.kept import read_last
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import read_text
from trnet.utils.locks import only_one
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.stamp import digest
from trnet.utils.workers import run_all

WAIT_S = 600  # for another process that writes a report in the same folder


def get_parser() -> Parser:
    """Options of stage 7."""
    parser = make_parser("score", __doc__)
    add_experiment_options(parser)
    add_share_options(parser)
    parser.add_argument(
        "--noises", type=types.list_of(types.noise), required=True, help='noise sets to test on, e.g. "esc musan"'
    )
    parser.add_argument(
        "--test-corpus", type=types.path, help="another recipe's data dir, e.g. ../../emodb/ser1/data/emodb"
    )
    parser.add_argument("--reference", type=types.path, help="CSV of published figures to print beside")
    parser.add_argument(
        "--notes", type=types.path, help="text file of what is to be said of the results, in their header"
    )
    parser.add_argument(
        "--report-seed",
        type=types.count(0, types.LARGEST_SEED),
        default=0,
        help="seed of resampling, t-SNE, choice of audio",
    )
    parser.add_argument(
        "--resamples", type=types.count(FEWEST, 1_000_000), default=2000, help="bootstrap samples of an interval"
    )
    parser.add_argument(
        "--permutations",
        type=types.count(FEWEST, 10_000_000),
        default=9999,
        help="assignments of signs in a paired test",
    )
    return parser


def predict(
    experiment: Experiment,
    conditions: list[Condition],
    other: OtherCorpus | None,
    run: tuple[str, Fold, int],
    _position: int | None,
) -> None:
    """Predict with one run."""
    predict_run(experiment, *run, conditions, other)


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Predict with every run that was asked for, then write the report of them, unless it is there."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    other = other_corpus(experiment, opts.test_corpus) if opts.test_corpus else None
    if other is not None and opts.reference:
        raise TrnetError("--reference: its figures are not of --test-corpus; leave one of the two out")
    names = opts.systems or list(experiment.config.systems)
    folds = pick_folds(experiment.folds, opts.folds)
    conditions = noisy_conditions(opts.noises, experiment.config.simulation.snrs)
    runs = [(name, fold, seed) for name in names for fold in folds for seed in opts.seeds]
    read_files(opts)
    options = report_options(opts)
    out = experiment.exp / experiment.config.frontend_name
    if other is not None:
        out = out / f"test_{other.corpus}"
    if _up_to_date(experiment, runs, conditions, other, out, options):
        return
    nj = max(1, min(at_once(opts), len(runs)))
    work = partial(predict, replace(experiment, at_once=nj), conditions, other)
    run_all(work, runs, nj, experiment.device, opts.threads, "score")
    torch.set_num_threads(opts.threads)  # as each run had: representations are the same, whoever computes them
    with only_one(out / "report", WAIT_S):
        report(experiment, runs, conditions, other, out, opts)


def _up_to_date(
    experiment: Experiment,
    runs: list[tuple[str, Fold, int]],
    conditions: list[Condition],
    other: OtherCorpus | None,
    out: Path,
    options: dict[str, object],
) -> bool:
    """Whether the very report is there, which is said; what is wrong with a run is left for scoring to find."""
    try:
        if not all(experiment.trained(*run) and are_whole(experiment.run_folder(*run), other) for run in runs):
            return False
        made_from = report_inputs(experiment, runs, conditions, other, options)
    except TrnetError:
        return False
    suffix, changed = finished_report(out, made_from)
    for name in changed:
        print(f"{out / name}: is gone or was changed; the report is written again")
    if suffix is None or changed:
        return False
    print(f"{out.absolute()}/report{suffix}.html, RESULTS{suffix}.md: up to date")
    return True


def read_files(opts: Namespace) -> None:
    """Put what the files of --reference and --notes hold in their place: once, and before anything is written.

    Raises: TrnetError if one cannot be read, or the reference is no table of figures.
    """
    if opts.reference is not None:
        opts.reference = read_reference(opts.reference)
    if opts.notes is not None:
        try:
            opts.notes = read_text(opts.notes)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8"
            raise TrnetError(f"{opts.notes}: cannot be read ({reason}); name a text file for --notes") from None


def report_options(opts: Namespace) -> dict[str, object]:
    """The settings of the report itself."""
    settings = {name: getattr(opts, name) for name in ("report_seed", "resamples", "permutations")}
    if opts.reference is not None:
        settings["reference"] = digest(sorted(opts.reference.items()))
    if opts.notes is not None:
        settings["notes"] = digest(opts.notes)
    return settings


def report(
    experiment: Experiment,
    runs: list[tuple[str, Fold, int]],
    conditions: list[Condition],
    other: OtherCorpus | None,
    out: Path,
    opts: Namespace,
) -> None:
    """Write the report of runs that have their predictions; it is finished when all its files are there."""
    made_from = report_inputs(experiment, runs, conditions, other, report_options(opts))
    found = read_predictions([predictions_path(experiment.run_folder(*run), other) for run in runs])
    asked = {("clean", None), *((condition.noise, condition.snr_db) for condition in conditions)}
    # systems that hear no front-end are shared between experiments; here they are part of this one
    frontend = experiment.config.frontend
    rows = [replace(row, frontend=frontend) for row in found.rows if (row.noise, row.snr_db) in asked]
    predictions = Predictions(found.classes, rows)
    suffix, _ = finished_report(out, made_from)  # whose files are gone or changed
    if suffix is None:
        suffix = place_beside(out, predictions)
    stamp = report_stamp(out, made_from, suffix)
    if changed := stamp.changed():
        print(f"{out}/report{suffix}.html: made anew, changed: {', '.join(changed)}")
    stamp.begin(clear=lambda: None, sweep=False)
    write_predictions(out / f"predictions{suffix}.csv", rows, found.classes)
    tested = (other or experiment).data
    if other is None:
        material = gather(experiment, runs, predictions, conditions, opts.report_seed)
    else:
        recipe = other.data.path.parent.parent
        material = Material(missing=[f"audio and noise sets: see {recipe}; training: see {out.parent}"])
    folds = list(dict.fromkeys(fold.number for _, fold, _ in runs))
    notes = {"Note": opts.notes} if opts.notes else {}
    written = write_report(
        out,
        predictions,
        header(experiment, runs, other) | notes,
        opts.reference,
        tested["utt2style"] if tested.has("utt2style") else None,
        folds=[str(number) if other is None else other.fold_name(number) for number in folds],
        seeds=opts.seeds,
        speakers=tested["utt2spk"],
        material=material,
        resamples=opts.resamples,
        permutations=opts.permutations,
        seed=opts.report_seed,
        suffix=suffix,
    )
    stamp.finish(digests_of(out, [out / f"predictions{suffix}.csv", *written]))
    names = ", ".join(f"{name}{suffix}.csv" for name in ("results", "statistics", "predictions"))
    print(f"{out.absolute()}/report{suffix}.html, RESULTS{suffix}.md, {names}, figures{suffix}/")


def header(
    experiment: Experiment, runs: list[tuple[str, Fold, int]], other: OtherCorpus | None = None
) -> dict[str, str]:
    """What RESULTS.md says of how it came about; what the runs were trained with stands in their checkpoints."""
    config = experiment.config
    patience = f", stopped after {config.training.patience} without a rise" if config.training.patience else ""
    ctc = f", CTC {config.training.ctc_weight} ({config.ctc.model})" if config.training.ctc_weight else ""
    folds = {fold.number: fold.test_speaker for _, fold, _ in runs}
    seeds = dict.fromkeys(seed for _, _, seed in runs)
    speakers = " ".join(f"{number}:{speaker}" for number, speaker in folds.items())
    states = [read_last(experiment.run_folder(*run)) for run in runs]
    trained_with = Counter(text for state in states for text in state["trained_with"])
    done = [len(state["history"]) for state in states]
    chosen = [best_epoch(state["history"]) for state in states]
    corpus = f"{experiment.corpus}, {len(experiment.labels)} utterances, classes {' '.join(experiment.classes)}"
    lines = {"Corpus": corpus}
    if other is not None:
        held_out = "without each fold's test and validation speakers"
        lines = {
            "Trained on": f"{corpus}, {held_out}",
            "Tested on": f"{other.corpus}, all {len(other.labels)} utterances, by the model of each fold",
            "Classes": said_of_classes(experiment, other),
        }
    return {
        **lines,
        "Front-end": config.frontend,
        "Folds": f"{len(folds)} of {len(experiment.folds)} (fold:test speaker {speakers}), seeds "
        + " ".join(map(str, seeds)),
        "Training": f"at most {config.training.max_epochs} epochs{patience}, {config.training.precision}, noise "
        f"{config.simulation.train_noise}, conditions {config.training.train_conditions}{ctc}",
        "Epochs": f"{min(done)} to {max(done)} trained, {min(chosen)} to {max(chosen)} chosen",
        "Trained with": "; ".join(f"commit {text} ({count} runs)" for text, count in sorted(trained_with.items())),
        "Scored with": f"commit {commit()} on {machine(experiment.device)}",
        "Versions": versions(),
    }


if __name__ == "__main__":
    sys.exit(main())
