"""A packed model with its card into a folder, or onto the Hugging Face hub."""

import sys

from trnet.bin import option_types as types
from trnet.bin.options import Parser, make_parser
from trnet.deploy.hub import push, read_pretrained
from trnet.utils.errors import one_line_errors


def get_parser() -> Parser:
    """Options of pushing."""
    parser = make_parser("push", __doc__)
    parser.add_argument("model", help="a model file: the zip of stage 7 or trnet.bin.pack")
    parser.add_argument("where", type=types.path_text, help="hf://org/name (log in first: hf auth login), or a folder")
    parser.add_argument("--license", help="the hub's word for the model's licence, e.g. cc-by-4.0")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--overwrite", action="store_true", help="replace a README.md or trnet.zip not by push")
    parser.add_argument("--trust", action="store_true", help="run code that is not trnet's: a front-end, a network")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Check the model, push it, say where it is."""
    opts = get_parser().parse_args(args)
    model = read_pretrained(opts.model, opts.trust)
    model.make_network()
    print(push(model, opts.where, opts.license, opts.private, opts.overwrite))


if __name__ == "__main__":
    sys.exit(main())
