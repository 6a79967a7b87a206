"""Stage 7: score the runs; results.csv, statistics.csv, predictions.csv, RESULTS.md, figures and report.html."""

import sys
from collections import Counter
from dataclasses import replace
from functools import partial

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, add_share_options, at_once, experiment_from
from trnet.bin.options import Parser, make_parser
from trnet.conditions import Condition, noisy_conditions
from trnet.errors import TrnetError, one_line_errors
from trnet.eval.material import Material, gather
from trnet.eval.other_corpus import OtherCorpus, other_corpus, said_of_classes
from trnet.eval.predictions import Predictions, read_predictions, write_predictions
from trnet.eval.report import write_report
from trnet.eval.run_predictions import predict_run, predictions_path
from trnet.experiment import Experiment
from trnet.folds import Fold, pick_folds
from trnet.jobs import do_all
from trnet.provenance import commit, machine, versions
from trnet.train.history import best_epoch
from trnet.train.kept import read_last


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
        "--report-seed",
        type=types.count(0, types.LARGEST_SEED),
        default=0,
        help="seed of resampling, t-SNE, choice of audio",
    )
    parser.add_argument(
        "--resamples", type=types.count(2, 1_000_000), default=2000, help="bootstrap samples of an interval"
    )
    parser.add_argument(
        "--permutations", type=types.count(1, 10_000_000), default=9999, help="assignments of signs in a paired test"
    )
    return parser


def predict(
    experiment: Experiment,
    run: tuple[str, Fold, int],
    _position: int | None,
    conditions: list[Condition],
    other: OtherCorpus | None,
) -> None:
    """Predict with one run."""
    predict_run(experiment, *run, conditions, other)


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Predict with every run that was asked for, then write the report of them."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    other = other_corpus(experiment, opts.test_corpus) if opts.test_corpus else None
    if other is not None and opts.reference:
        raise TrnetError("--reference: its figures are not of --test-corpus; leave one of the two out")
    names = opts.systems or list(experiment.config.systems)
    folds = pick_folds(experiment.folds, opts.folds)
    conditions = noisy_conditions(opts.noises, experiment.config.simulation.snrs)
    runs = [(name, fold, seed) for name in names for fold in folds for seed in opts.seeds]
    do_all(experiment, partial(predict, conditions=conditions, other=other), runs, at_once(opts), opts.threads, "score")
    found = read_predictions([predictions_path(experiment.run_folder(*run), other) for run in runs])
    # systems that hear no front-end are shared between experiments; here they are part of this one
    rows = [replace(row, frontend=experiment.config.frontend) for row in found.rows]
    out = experiment.exp / experiment.config.frontend_name
    if other is not None:
        out = out / f"test_{other.corpus}"
    write_predictions(out / "predictions.csv", rows, found.classes)
    predictions = Predictions(found.classes, rows)
    tested = (other or experiment).data
    if other is None:
        material = gather(experiment, runs, predictions, conditions, opts.report_seed)
    else:
        recipe = other.data.path.parent.parent
        material = Material(missing=[f"audio and noise sets: see {recipe}; training: see {out.parent}"])
    write_report(
        out,
        predictions,
        header(experiment, runs, other),
        opts.reference,
        tested["utt2style"] if tested.has("utt2style") else None,
        folds=[str(f.number) if other is None else other.fold_name(f.number) for f in folds],
        seeds=opts.seeds,
        speakers=tested["utt2spk"],
        material=material,
        resamples=opts.resamples,
        permutations=opts.permutations,
        seed=opts.report_seed,
    )
    print(f"{out}/report.html, RESULTS.md, results.csv, statistics.csv, predictions.csv, figures/")


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
