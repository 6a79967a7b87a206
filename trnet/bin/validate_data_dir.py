"""Check data directories against Kaldi's rules; all problems are printed, the exit status is 1 if there are any."""

import sys
from collections.abc import Sequence

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_pipes_option, make_parser
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import NOISE_TABLES, PAIR_TABLES, SPEECH_TABLES, validate_data_dir
from trnet.utils.errors import one_line_errors
from trnet.utils.text import counted


def get_parser() -> Parser:
    """The command's options."""
    parser = make_parser("validate_data_dir", __doc__)
    parser.add_argument("dirs", nargs="+", type=types.path, metavar="DIR", help="data directories, e.g. data/iemocap")
    parser.add_argument("--noise", action="store_true", help="they hold noise: no text, emotions or groups")
    parser.add_argument("--pairs", action="store_true", help="they hold pairs of noisy and clean speech")
    parser.add_argument("--no-text", action="store_true", help="do not ask for text")
    add_pipes_option(parser)
    return parser


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """Validate; 0 if all is well."""
    options = get_parser().parse_args(args)
    tables = PAIR_TABLES if options.pairs else NOISE_TABLES if options.noise else SPEECH_TABLES
    need = set(tables) - ({"text"} if options.no_text else set())
    status = 0
    for folder in options.dirs:
        # features alone are a data directory as well, as in Kaldi
        wanted = need - {"wav.scp"} if (folder / "feats.scp").is_file() else need
        problems = validate_data_dir(folder, wanted, allow_pipes=options.allow_pipes)
        if problems:
            print("\n".join(problems), file=sys.stderr)
            status = 1
        else:
            print(f"{folder}: {counted(len(DataDir(folder)['utt2spk']), 'utterance')}, valid")
    return status


if __name__ == "__main__":
    sys.exit(main())
