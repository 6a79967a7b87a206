"""Try a front-end on a few utterances: does it keep what stage 3 asks of it?"""

import sys

from trnet.audio.crop import read_clip
from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    add_pipes_option,
    config_from,
    device_from,
    frontend_from,
    make_parser,
)
from trnet.frontend.check import TrialUtterance, try_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError, one_line_errors


def get_parser() -> Parser:
    """Options of the check."""
    parser = make_parser("check_frontend", __doc__)
    add_config_options(parser)
    add_device_option(parser)
    add_pipes_option(parser)
    parser.add_argument("--sets", type=types.list_of(types.path), required=True, help="data dirs with the utterances")
    parser.add_argument("--num", type=types.count(), default=4, help="utterances of each, the first ones")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Print each rule and whether it is kept.

    Raises:
        TrnetError: If one is not.
    """
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    sets = [DataDir(folder, opts.allow_pipes) for folder in opts.sets]
    utterances = [
        TrialUtterance(utt, f"{data.path}: utterance {utt}", read_clip(data.clip(utt), config.features.sample_rate))
        for data in sets
        for utt in data.utts[: opts.num]
    ]
    rules = list(try_frontend(lambda: frontend_from(config, opts).to(device), utterances))
    for rule, problem in rules:
        print(f"{'FAILED' if problem else 'ok':8}{rule}{': ' if problem else ''}{problem}")
    broken = sum(bool(problem) for _, problem in rules)
    if broken:
        raise TrnetError(f"front-end {config.frontend}: {broken} of {len(rules)} rules are broken; mend it")


if __name__ == "__main__":
    sys.exit(main())
