"""Stage 3: enhance clean and noisy sets with the chosen front-end."""

import sys
from pathlib import Path

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
from trnet.frontend.enhance import enhance_data_dirs
from trnet.kaldi.validate import valid_data_dir
from trnet.utils.errors import one_line_errors


def get_parser() -> Parser:
    """Options of stage 3."""
    parser = make_parser("enhance", __doc__)
    add_config_options(parser)
    add_device_option(parser)
    add_pipes_option(parser)
    parser.add_argument("--sets", type=types.list_of(types.path), required=True, help="data dirs to enhance")
    parser.add_argument("--dump", type=types.path, default=Path("dump"), help="folder of enhanced sets and features")
    parser.add_argument("--nj", type=types.processes, default=1, help="processes (one on a GPU)")
    parser.add_argument("--shard", type=types.shard, default=(1, 1), help="k/n: do part k of n; others run elsewhere")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write ``<dump>/<frontend>/<set>/wav`` and its wav.scp for each set."""
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    frontend_config = {"frontend": config.frontend, "frontend_conf": config.frontend_conf}
    fingerprint, nj = frontend_from(config, opts).fingerprint(), 1 if opts.ngpu else opts.nj
    sets = [
        (
            valid_data_dir(folder, ("wav.scp",), allow_pipes=opts.allow_pipes),
            opts.dump / config.frontend_name / folder.name,
        )
        for folder in opts.sets
    ]
    enhance_data_dirs(sets, frontend_config, fingerprint, config.features, nj, str(device), opts.shard)


if __name__ == "__main__":
    sys.exit(main())
