"""Stage 2 of enh1: train speech-enhancement front-ends on pairs of noisy and clean speech."""

import logging
import sys

from trnet.bin.enh_options import add_run_options, runs_from
from trnet.bin.options import Parser, add_wandb_option, check_wandb, device_from, make_parser
from trnet.enh.metrics import check_packages
from trnet.runs.record import configuration_file
from trnet.utils.errors import TrnetError, of_runs, one_line_errors

log = logging.getLogger(__name__)


def get_parser() -> Parser:
    """Options of stage 2."""
    parser = make_parser("train_frontend", __doc__)
    add_run_options(parser)
    add_wandb_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Train every unfinished run; one that fails does not stop the others."""
    opts = get_parser().parse_args(args)
    check_packages()
    check_wandb(opts)
    device, failures = device_from(opts), []
    runs = runs_from(opts)
    for run in runs:
        try:
            about = {"configs": [configuration_file(path) for path in opts.configs]}
            run.train(device, opts.nj, opts.wandb or None, about)
        except TrnetError as error:
            failures.append(error)
            if len(runs) > 1:
                log.info("failed: %s", error)
    if failures:
        raise of_runs(failures, len(runs))


if __name__ == "__main__":
    sys.exit(main())
