"""Stage 2: noise manifest and noisy sets."""

import sys

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_config_options, add_pipes_option, config_from, make_parser
from trnet.folds import noise_groups
from trnet.kaldi.validate import valid_data_dir
from trnet.noise.simulate import simulate
from trnet.utils.errors import one_line_errors
from trnet.utils.locks import only_one


def get_parser() -> Parser:
    """Options of stage 2."""
    parser = make_parser("simulate", __doc__)
    add_config_options(parser)
    parser.add_argument("--corpus-data", type=types.path, required=True, help="clean data dir, e.g. data/nemo")
    parser.add_argument("--noises", type=types.list_of(types.noise), required=True, help='noise sets, e.g. "esc musan"')
    parser.add_argument("--nj", type=types.processes, default=1, help="processes")
    add_pipes_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write ``<corpus>_<noise>_<snr>db`` beside the clean data dir."""
    opts = get_parser().parse_args(args)
    config = config_from(opts)
    root, wanted = opts.corpus_data.parent, ("wav.scp", "utt2dur", "utt2src")
    speech = valid_data_dir(opts.corpus_data, ("wav.scp", "utt2dur", "utt2group"), allow_pipes=opts.allow_pipes)
    clips = {
        noise: valid_data_dir(root / f"noise_{noise}", wanted, allow_pipes=opts.allow_pipes) for noise in opts.noises
    }
    groups = noise_groups(speech, config.folds)
    for noise in opts.noises:
        with only_one(root / f"{speech.path.name}_{noise}"):
            simulate(speech, clips[noise], noise, root, config.features, config.simulation, opts.nj, groups)


if __name__ == "__main__":
    sys.exit(main())
