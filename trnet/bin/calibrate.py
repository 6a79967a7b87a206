"""Temperature of a system's probabilities, found on the validation speakers of its runs; for trnet.bin.pack."""

import json
import sys

import torch

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, experiment_from
from trnet.bin.options import Parser, device_from, make_parser
from trnet.eval.calibration import BINS, calibrate
from trnet.folds import pick_folds
from trnet.train.session import Session
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import write_text


def get_parser() -> Parser:
    """Options of calibration."""
    parser = make_parser("calibrate", __doc__)
    add_experiment_options(parser)
    parser.set_defaults(systems=["trnet"])
    parser.add_argument(
        "--bins", type=types.count(2, 1000), default=BINS, help="bins of the expected calibration error"
    )
    parser.add_argument("--threads", type=types.processes, default=1, help="threads; last bits depend on it")
    parser.add_argument("--out", type=types.path, help="default: exp/<frontend>/calibration_<system>.json")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write the temperature of one system, and the calibration error before and after."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    if len(opts.systems) != 1:
        raise TrnetError(f"--systems {' '.join(opts.systems)}: name one; each has a temperature of its own")
    runs = experiment.runs(opts.systems, pick_folds(experiment.dataset.folds, opts.folds), opts.seeds)
    torch.set_num_threads(opts.threads)
    found = calibrate(Session(experiment, device_from(opts)), runs, opts.bins)
    name = f"calibration_{found.system}.json"
    path = opts.out or experiment.exp / experiment.config.frontend_name / name
    write_text(path, json.dumps(found.plain(), indent=1) + "\n")
    (before, after), n = found.ece, len(found.speakers)
    print(
        f"{path}: temperature {found.temperature:.3f}; expected calibration error of {n} validation speakers "
        f"{before:.1f} % before, {after:.1f} % after"
    )


if __name__ == "__main__":
    sys.exit(main())
