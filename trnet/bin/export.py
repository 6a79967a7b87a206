"""A packed model as ONNX, for trnet-predict, utils/onnx_predict.py or any other runtime."""

import sys
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_upstream_option, make_parser
from trnet.deploy.archive import (
    FRONTEND_GRAPH,
    GRAPH_CONFIG,
    MAX_JSON_BYTES,
    SER_GRAPH,
    UPSTREAM_GRAPH,
    read_json,
)
from trnet.deploy.hub import read_pretrained
from trnet.deploy.onnx_export import FORMAT, graphs_of
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import read_bytes, write_bytes


def get_parser() -> Parser:
    """Options of the export."""
    parser = make_parser("export", __doc__)
    parser.add_argument("model", help="a model file (the zip of stage 7 or trnet.bin.pack), or hf://org/name")
    parser.add_argument("--out", type=types.path, required=True, help="folder of ser.onnx, frontend.onnx, config.json")
    parser.add_argument("--trust", action="store_true", help="run code that is not trnet's: a front-end, a network")
    add_upstream_option(parser)
    return parser


def check_folder(folder: Path) -> None:
    """Refuse a folder with files of these names that no export wrote."""
    there = [name for name in (GRAPH_CONFIG, SER_GRAPH, FRONTEND_GRAPH, UPSTREAM_GRAPH) if (folder / name).exists()]
    try:
        ours = read_json(read_bytes(folder / GRAPH_CONFIG, MAX_JSON_BYTES), GRAPH_CONFIG).get("format") == FORMAT
    except (OSError, TrnetError):
        ours = False
    if there and not ours:
        raise TrnetError(f"--out {folder}: holds a {there[0]} that no export wrote; name another folder")


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write the networks, and say which front-end is not among them."""
    opts = get_parser().parse_args(args)
    check_folder(opts.out)
    model = read_pretrained(opts.model, opts.trust)
    graphs = graphs_of(model, opts.trust, opts.upstream)
    for name, body in graphs.items():
        write_bytes(opts.out / name, body)
    print(" ".join(str(opts.out / name) for name in graphs))
    name = model.frontend_name or "none"
    if name != "none" and FRONTEND_GRAPH not in graphs:
        print(f"front-end {name} has no graph: enhance audio by it elsewhere, and feed ser.onnx")


if __name__ == "__main__":
    sys.exit(main())
