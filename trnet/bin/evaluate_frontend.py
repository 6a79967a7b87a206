"""Stage 3 of enh1: score trained front-ends and the noisy speech on the test set; results.csv and RESULTS.md."""

import sys

from trnet.bin import option_types as types
from trnet.bin.enh_options import add_run_options, runs_from
from trnet.bin.options import Parser, device_from, make_parser
from trnet.enh.dataset import drawn
from trnet.enh.evaluate import score_test_set
from trnet.enh.job import describe_score
from trnet.enh.metrics import check_packages
from trnet.enh.report import NOISY, RunScores, write_enh_report
from trnet.enh.runs import FrontEndRun
from trnet.frontend.checkpoint import read_state
from trnet.kaldi.validate import PAIR_TABLES, valid_data_dir
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.locks import only_one
from trnet.utils.provenance import commit, machine, versions


def get_parser() -> Parser:
    """Options of stage 3."""
    parser = make_parser("evaluate_frontend", __doc__)
    add_run_options(parser)
    parser.add_argument("--test-utts", type=types.count(0), default=0, help="utterances to score, drawn once; 0: all")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Score every chosen run, then write the report."""
    opts = get_parser().parse_args(args)
    check_packages()
    device, runs = device_from(opts), runs_from(opts)
    data, nj = valid_data_dir(opts.data / "test", PAIR_TABLES), 1 if opts.ngpu else opts.nj
    utts = drawn(data.utts, opts.test_utts, "test")
    for run in runs:
        if not run.trained():
            raise TrnetError(f"{run.folder}: is not trained to its end with this configuration; run stage 2")
    with only_one(opts.exp / NOISY):
        found: RunScores = {(NOISY, None): score_test_set(data, utts, opts.exp / NOISY, None, nj, str(device))}
    for run in runs:
        config = {"frontend": run.config.frontend, "frontend_conf": {"checkpoint": str(run.files.best)}}
        with only_one(run.folder):
            scores = score_test_set(data, utts, run.folder, config, nj, str(device))
        found = {**found, (run.config.frontend, run.seed): scores}
    header = {
        "Test set": f"{len(utts)} utterances (of {len(data.utts)}) of {len({data['utt2spk'][utt] for utt in utts})} "
        f"speakers, {sum(float(data['utt2dur'][utt]) for utt in utts) / 60:.1f} minutes",
        **{f"{run.config.frontend}, seed {run.seed}": about(run) for run in runs},
        "Scored with": f"commit {commit()} on {machine(device)}",
        "Versions": versions(),
    }
    suffix = write_enh_report(opts.exp, found, header)
    print(f"{opts.exp.absolute()}/RESULTS{suffix}.md, results{suffix}.csv")


def about(run: FrontEndRun) -> str:
    """How a run was trained."""
    state = run.files.read_last()
    history = state["history"]
    chosen = run.rule.best(history)
    parameters = sum(tensor.numel() for tensor in read_state(run.files.best, "state_dict").values())
    return (
        f"{parameters:,} values, epoch {chosen} of {len(history)} ({state['steps']} steps) by "
        f"{describe_score(history[chosen - 1], run.config)}, trained with commit {', '.join(state['trained_with'])}"
    )


if __name__ == "__main__":
    sys.exit(main())
