"""Print the data dirs of a corpus under all conditions, clean first."""

import sys

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_config_options, config_from, make_parser
from trnet.conditions import CLEAN, noisy_conditions
from trnet.utils.errors import one_line_errors


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("list_sets", __doc__)
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=types.path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--noises", type=types.list_of(types.noise), required=True, help='noise sets, e.g. "esc musan"')
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Print ``data/<corpus>`` and ``data/<corpus>_<noise>_<snr>db`` of every noise set and SNR."""
    opts = get_parser().parse_args(args)
    conditions = [CLEAN, *noisy_conditions(opts.noises, config_from(opts).simulation.all_snrs)]
    print(" ".join(str(opts.corpus_data.parent / c.data_name(opts.corpus_data.name)) for c in conditions))


if __name__ == "__main__":
    sys.exit(main())
