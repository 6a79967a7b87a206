"""A page in the browser: record or upload speech, see emotion, c and spectrograms."""

import sys
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_device_option, add_upstream_option, make_parser
from trnet.deploy.model_path import PREFIX
from trnet.deploy.packaged import packaged_model
from trnet.utils.errors import TrnetError, one_line_errors


def get_parser() -> Parser:
    """Options of trnet-demo."""
    parser = make_parser("demo", __doc__)
    help_text = "a model file (the zip of stage 7 or trnet.bin.pack), or hf://org/name; default: the one in trnet"
    parser.add_argument("model", nargs="?", help=help_text)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 lets others in")
    parser.add_argument("--port", type=types.count(1, 65_535), default=7860, help="port to listen at")
    parser.add_argument("--trust", action="store_true", help="run code that is not trnet's: a front-end, a network")
    add_upstream_option(parser)
    add_device_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    opts = get_parser().parse_args(args)
    from trnet.deploy.demo import make_demo  # here, as they bring PyTorch, which --help does without
    from trnet.deploy.predictor import Predictor

    model = opts.model or str(packaged_model())
    name = model if model.startswith(PREFIX) else Path(model).name
    page = make_demo(Predictor.from_pretrained(model, opts.ngpu, opts.trust, opts.upstream), name)
    try:
        page.launch(server_name=opts.host, server_port=opts.port, share=False, show_error=True)
    except OSError as error:
        raise TrnetError(f"--port {opts.port}: cannot listen there ({error}); name another") from None


if __name__ == "__main__":
    sys.exit(main())
