"""The model of the package, from runs that hold speakers out (named by the options) and a model of all speakers.

``--part epochs`` prints how many epochs the model of all speakers is trained, the median of what the runs chose;
``--part model`` writes the file and its card.
"""

import logging
import sys

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, experiment_from
from trnet.bin.options import Parser, make_parser
from trnet.deploy.model_file import read_model, write_model
from trnet.deploy.package_model import card_fields, check_size, make_card, median_epochs, packaged_file, results_of
from trnet.runs.experiment import TEACHER
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.files import read_text, write_text

SYSTEM = "trnet"


def get_parser() -> Parser:
    """Options of packaging."""
    parser = make_parser("package_model", __doc__)
    add_experiment_options(parser)
    parser.add_argument("--part", choices=("epochs", "model"), required=True, help="print epochs, or write the model")
    parser.add_argument("--model", type=types.path, help="zip of trnet.bin.pack, of all speakers, with a temperature")
    parser.add_argument("--card", type=types.path, help="Markdown of the card, with fields ${results} and others")
    parser.add_argument("--out", type=types.path, help="the file to write; its card is beside it, as .md")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Print ``<epochs of the teacher> <epochs of trnet>``, or write model and card."""
    opts = get_parser().parse_args(args)
    logging.getLogger("trnet").setLevel(logging.WARNING)  # a script reads what is printed
    experiment = experiment_from(opts)
    epochs = median_epochs(experiment, [TEACHER, SYSTEM], opts.seeds)
    results_of(experiment, SYSTEM, opts.seeds)  # before hours are spent
    if opts.part == "epochs":
        print(*epochs.values())
        return
    if not (opts.model and opts.card and opts.out):
        raise TrnetError("--part model: takes --model, --card and --out; name all three")
    packed = read_model(opts.model)
    if packed.about.get("epoch") != epochs[SYSTEM]:
        epoch = packed.about.get("epoch")
        raise TrnetError(f"{opts.model}: is of epoch {epoch}, the median is {epochs[SYSTEM]}; train it again")
    try:
        template = read_text(opts.card)
    except (OSError, UnicodeDecodeError):
        raise TrnetError(f"--card {opts.card}: cannot be read; name a Markdown file in UTF-8") from None
    made = packaged_file(packed, opts.out, sorted(set(experiment.data["utt2spk"].values())))
    card = make_card(template, str(opts.card), card_fields(made, experiment, epochs, opts.seeds))
    size = check_size(made)
    write_model(made)
    write_text(opts.out.with_suffix(".md"), card)
    print(f"{opts.out}: {size / 1e6:.1f} MB, epoch {made.about['epoch']}, seed {made.about['seed']}")


if __name__ == "__main__":
    sys.exit(main())
