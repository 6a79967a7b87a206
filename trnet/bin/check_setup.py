"""Stage 0: is everything there that the recipe needs?"""

import sys
from argparse import ArgumentTypeError
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    check_systems,
    config_from,
    device_from,
    make_parser,
)
from trnet.corpora import CORPORA
from trnet.corpora.download import FREE_CORPORA, WEIGHTS, fetch
from trnet.features import make_extractor
from trnet.frontend import build_frontend
from trnet.utils.errors import TrnetError, nearest, one_line_errors
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.stamp import digest


def get_parser() -> Parser:
    """Options of stage 0."""
    parser = make_parser("check_setup", __doc__)
    add_config_options(parser)
    add_device_option(parser)
    parser.add_argument(
        "--folders", type=corpus_folder, nargs="+", required=True, metavar="NAME=FOLDER", help="corpora"
    )
    parser.add_argument("--systems", type=types.list_of(str), default=[], help="systems that will be trained")
    parser.add_argument("--download", choices=("true", "false"), default="false", help="fetch what is free")
    return parser


def corpus_folder(text: str) -> tuple[str, Path]:
    """``nemo=/corpora/nEMO`` as a name and a folder, which may have blanks."""
    name, is_pair, folder = text.partition("=")
    if not is_pair:
        raise ArgumentTypeError(f"'{text}': write NAME=FOLDER")
    return name, types.path(folder)


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Check the configuration, the device, the corpora's folders, the front-end's weights and the features."""
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    check_systems(config, opts)
    download = opts.download == "true"
    for name, folder in opts.folders:
        print(f"{name}: {find_corpus(name, folder, download)}")
    weights = Path(str(config.frontend_conf.get("checkpoint") or ""))
    if weights.name in WEIGHTS and not weights.exists():
        if not download:
            raise TrnetError(
                f"checkpoint {weights}: no such file; give the authors' checkpoint by --frontend-checkpoint, or let "
                "stage 0 fetch it: --download true"
            )
        fetch(WEIGHTS[weights.name], weights)
    frontend = build_frontend({"frontend": config.frontend, "frontend_conf": config.frontend_conf})
    print(f"front-end: {config.frontend}, {digest(frontend.fingerprint())}")
    features = config.features.replace(layer="middle") if config.features.by_fold else config.features
    print(f"features: {features.type}, {make_extractor(features).dim} values a frame")
    print(f"trnet {commit()}, {versions()}, {machine(device)}")


def find_corpus(name: str, folder: Path, download: bool) -> Path:
    """Where a corpus lies, fetched first if that is wanted and possible.

    Raises:
        TrnetError: If it is not there.
    """
    if name not in CORPORA:
        raise TrnetError(f"--folders {name}: no such corpus{nearest(name, list(CORPORA))}")
    corpus = CORPORA[name]
    try:
        return corpus.locate(folder)
    except TrnetError as error:
        if name not in FREE_CORPORA:
            raise
        if not download:
            raise TrnetError(f"{error}, or let stage 0 fetch it: --download true") from None
    fetch(FREE_CORPORA[name], folder)
    return corpus.locate(folder)


if __name__ == "__main__":
    sys.exit(main())
