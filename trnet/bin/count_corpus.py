"""Print a data directory's counts as a contract: utterances per speaker, part or nothing, and class."""

import sys
from collections import Counter

from trnet.bin import option_types as types
from trnet.bin.options import Parser, make_parser
from trnet.corpora.contract import BY
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import valid_data_dir
from trnet.utils.errors import TrnetError, one_line_errors


def get_parser() -> Parser:
    """The command's options."""
    parser = make_parser("count_corpus", __doc__)
    parser.add_argument("data", type=types.path, help="data directory of speech, e.g. data/emodb")
    parser.add_argument("--by", choices=BY, default=BY[0], help="what the counts are of, beside the class")
    return parser


def contract_text(data: DataDir, by: str) -> str:
    """The lines of conf/contract.yaml.

    Raises:
        TrnetError: If the corpus has no parts and they are asked for.
    """
    if by == "split" and not data.has("utt2split"):
        raise TrnetError(f"--by split: {data.path} has no utt2split; count by speaker or corpus")
    row_of = {"speaker": lambda: data["utt2spk"], "split": lambda: data["utt2split"]}.get(by, dict)()
    counts: dict[str, Counter[str]] = {}
    for utt, emotion in data["utt2emo"].items():
        counts.setdefault(row_of.get(utt, "all"), Counter())[emotion] += 1
    lines = [] if by == BY[0] else [f"by: {by}"]
    for row in sorted(counts):
        lines.append(f"{row}: {{{', '.join(f'{c}: {counts[row][c]}' for c in sorted(counts[row]))}}}")
    return "\n".join(lines) + "\n"


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Print the contract."""
    opts = get_parser().parse_args(args)
    print(contract_text(valid_data_dir(opts.data, ("utt2emo",), audio=False), opts.by), end="")


if __name__ == "__main__":
    sys.exit(main())
