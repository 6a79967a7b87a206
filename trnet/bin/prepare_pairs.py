"""Stage 1 of enh1: Kaldi data directories of pairs of noisy and clean speech, for training, validation and test."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, make_parser
from trnet.corpora.build import build_data_dir
from trnet.corpora.contract import NO_CONTRACT, read_contract
from trnet.corpora.noisy_sets import noisy_set_folders, read_noisy_set
from trnet.corpora.pairs import PARTS, read_split, write_pairs
from trnet.corpora.source import listing_digest
from trnet.corpora.voicebank import read_voicebank, voicebank_files
from trnet.kaldi.validate import PAIR_TABLES
from trnet.utils.errors import one_line_errors
from trnet.utils.stamp import digest, dir_digest

READ = {"voicebank_demand": read_voicebank, "noisy_sets": read_noisy_set}
DIGEST = {
    "voicebank_demand": lambda root, name: listing_digest(voicebank_files(root, name), root),
    "noisy_sets": lambda root, name: digest([dir_digest(folder) for folder in noisy_set_folders(root, name)]),
}


def get_parser() -> Parser:
    """The command's options."""
    parser = make_parser("prepare_pairs", __doc__)
    parser.add_argument("--corpus", required=True, choices=list(READ), help="how the pairs are laid out")
    parser.add_argument(
        "--root", required=True, type=types.path, help="folder of the corpus, or of the recipe that made noisy sets"
    )
    parser.add_argument("--out", type=types.path, default=Path("data"), help="folder for train/, valid/ and test/")
    parser.add_argument("--split", type=types.path, required=True, help="YAML: sets and speakers of each part")
    parser.add_argument("--contract", default=NO_CONTRACT, help="YAML: pairs of each set of a whole copy; or none")
    parser.add_argument("--nj", type=types.processes, default=1, help="processes that decode the recordings")
    return parser


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """Prepare the parts; nothing is done for one that is as it was."""
    options = get_parser().parse_args(args)
    split, contract = read_split(options.split), read_contract(options.contract)
    root = options.root
    sets = {name: READ[options.corpus](root, name) for name in split.sets}
    if contract is not None:
        contract.check({name: len(pairs) for name, pairs in sets.items()}, root)
    digests = {name: DIGEST[options.corpus](root, name) for name in split.sets}
    for name in PARTS:
        pairs = split.pairs_of(name, sets)
        made_from = {
            "corpus": options.corpus,
            "root": str(root),
            "split": split.plain(),
            "contract": contract.counts if contract else None,
            "files": {set_name: digests[set_name] for set_name in split[name].sets},
        }
        build_data_dir(options.out / name, made_from, PAIR_TABLES, partial(write_pairs, pairs=pairs, nj=options.nj))
    return 0


if __name__ == "__main__":
    sys.exit(main())
