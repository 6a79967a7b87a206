"""Stage 2: noise manifest and noisy sets."""

import sys
from pathlib import Path

from trnet.bin.options import (
    Parser,
    add_config_options,
    add_pipes_option,
    config_from,
    list_of,
    make_parser,
)
from trnet.errors import one_line_errors
from trnet.folds import noise_groups
from trnet.kaldi.data_dir import DataDir
from trnet.lock import only_one
from trnet.noise.simulate import simulate


def get_parser() -> Parser:
    """Options of stage 2."""
    parser = make_parser("simulate", __doc__)
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=Path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--noises", type=list_of(str), required=True, help='noise sets, e.g. "esc musan"')
    parser.add_argument("--nj", type=int, default=1, help="processes")
    add_pipes_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write ``<corpus>_<noise>_<snr>db`` beside the clean data dir."""
    opts = get_parser().parse_args(args)
    config = config_from(opts)
    speech, root = DataDir(opts.corpus_data, opts.allow_pipes), opts.corpus_data.parent
    groups = noise_groups(speech, config.folds)
    for noise in opts.noises:
        clips = DataDir(root / f"noise_{noise}", opts.allow_pipes)
        with only_one(root / f"{speech.path.name}_{noise}"):
            simulate(speech, clips, noise, root, config.features, config.simulation, opts.nj, groups)


if __name__ == "__main__":
    sys.exit(main())
