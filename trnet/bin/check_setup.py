"""Stage 0: is everything there that the recipe needs?"""

import sys
from pathlib import Path

from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    config_from,
    device_from,
    list_of,
    make_parser,
)
from trnet.errors import TrnetError, one_line_errors
from trnet.frontend import build_frontend
from trnet.provenance import commit, machine, versions
from trnet.stamp import digest

WHERE = {
    "iemocap": ("--corpus-dir", "by licence form from sail.usc.edu/iemocap"),
    "nemo": ("--corpus-dir", "amu-cai/nEMO on GitHub or Hugging Face"),
    "mini": ("--corpus-dir", "made by local/make_data.sh"),
    "esc": ("--esc-dir", "karolpiczak/ESC-50 on GitHub"),
    "musan": ("--musan-dir", "openslr.org/17"),
    "nonspeech": ("--nonspeech-dir", "speechdnn/Noises on GitHub, or any folder of noises"),
}


def get_parser() -> Parser:
    """Options of stage 0."""
    parser = make_parser("check_setup", __doc__)
    add_config_options(parser)
    add_device_option(parser)
    parser.add_argument("--folders", type=list_of(str), required=True, help='"NAME=FOLDER ..." of corpora')
    parser.add_argument("--systems", type=list_of(str), default=[], help="systems that will be trained")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Check the configuration, the device, the corpora's folders and the front-end's weights."""
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    for name in opts.systems:
        config.system(name)
    for pair in opts.folders:
        name, _, folder = pair.partition("=")
        option, source = WHERE.get(name, ("--corpus-dir", "its publishers"))
        if not Path(folder).is_dir():
            raise TrnetError(f"{folder}: no such folder; give the one of {name} with {option} (to be had: {source})")
        print(f"{name}: {folder}")
    frontend = build_frontend({"frontend": config.frontend, "frontend_conf": config.frontend_conf})
    print(f"front-end: {config.frontend}, {digest(frontend.fingerprint())}")
    print(f"trnet {commit()}, {versions()}, {machine(device)}")


if __name__ == "__main__":
    sys.exit(main())
