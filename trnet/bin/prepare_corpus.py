"""Stage 1: the Kaldi data directory of a speech corpus."""

import sys
from collections.abc import Sequence

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_channel_option, make_parser
from trnet.corpora import SPEECH
from trnet.corpora.build import build_data_dir
from trnet.corpora.contract import read_contract
from trnet.corpora.labels import read_label_map
from trnet.corpora.source import listing_digest
from trnet.kaldi.validate import SPEECH_TABLES
from trnet.utils.errors import one_line_errors


def get_parser() -> Parser:
    """The command's options."""
    parser = make_parser("prepare_corpus", __doc__)
    parser.add_argument("--corpus", required=True, choices=list(SPEECH), help="how the corpus is laid out")
    parser.add_argument("--root", required=True, type=types.path, help="folder of the corpus")
    parser.add_argument("--out", required=True, type=types.path, help="data directory to write, e.g. data/iemocap")
    parser.add_argument("--labels", required=True, type=types.path, help="YAML: corpus label -> class, or null")
    parser.add_argument("--contract", required=True, help="YAML: speaker -> class -> utterances; or none")
    parser.add_argument("--nj", type=types.processes, default=1, help="processes that decode the recordings")
    add_channel_option(parser)
    return parser


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """Prepare the corpus; nothing is done if that was done before."""
    options = get_parser().parse_args(args)
    label_map, contract = read_label_map(options.labels), read_contract(options.contract)
    root, corpus = options.root, SPEECH[options.corpus]
    made_from = {
        "corpus": options.corpus,
        "root": str(root),
        "labels": label_map.classes,
        "contract": contract.counts if contract else None,
        "files": listing_digest(corpus.all_files(root), root),
    }
    if options.channel is not None:
        made_from["channel"] = options.channel
    build_data_dir(
        options.out,
        made_from,
        SPEECH_TABLES,
        lambda out: corpus.prepare(root, out, label_map, contract, options.nj, options.channel),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
