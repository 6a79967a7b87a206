"""Stage 1: the Kaldi data directory of a noise corpus."""

import sys
from collections.abc import Sequence

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_channel_option, make_parser
from trnet.corpora import NOISE
from trnet.corpora.build import build_data_dir
from trnet.corpora.contract import NO_CONTRACT, read_contract
from trnet.corpora.source import listing_digest
from trnet.kaldi.validate import NOISE_TABLES
from trnet.utils.errors import one_line_errors


def get_parser() -> Parser:
    """The command's options."""
    parser = make_parser("prepare_noise", __doc__)
    parser.add_argument("--noise", required=True, choices=list(NOISE), help="how the corpus is laid out")
    parser.add_argument("--root", required=True, type=types.path, help="folder of the noise corpus")
    parser.add_argument("--out", required=True, type=types.path, help="data directory to write, e.g. data/noise_esc")
    parser.add_argument("--contract", default=NO_CONTRACT, help="YAML: clips and sources of a whole copy; or none")
    parser.add_argument("--nj", type=types.processes, default=1, help="processes that decode the recordings")
    add_channel_option(parser)
    return parser


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """Prepare the noise; nothing is done if that was done before."""
    options = get_parser().parse_args(args)
    contract = read_contract(options.contract)
    root, corpus = options.root, NOISE[options.noise]
    made_from = {
        "noise": options.noise,
        "root": str(root),
        "contract": contract.counts if contract else None,
        "files": listing_digest(corpus.all_files(root), root),
    }
    if options.channel is not None:
        made_from["channel"] = options.channel
    build_data_dir(
        options.out,
        made_from,
        NOISE_TABLES,
        lambda out: corpus.prepare(root, out, contract, options.nj, options.channel),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
