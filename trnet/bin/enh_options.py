"""Options of the entry points that train and score front-ends."""

from argparse import Namespace
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_device_option, add_set_option
from trnet.config import MOST_EPOCHS
from trnet.enh.config import load_enh_config
from trnet.enh.runs import FrontEndRun
from trnet.utils.errors import TrnetError


def add_run_options(parser: Parser) -> None:
    """Options that choose the runs."""
    parser.add_argument("--configs", type=types.list_of(types.path), required=True, help="YAML of each front-end")
    parser.add_argument("--data", type=types.path, default=Path("data"), help="folder of train/, valid/ and test/")
    parser.add_argument("--exp", type=types.path, default=Path("exp"), help="folder of runs")
    parser.add_argument("--seeds", type=types.list_of(types.seed), default=[1], help="seeds")
    parser.add_argument("--max-epochs", type=types.count(1, MOST_EPOCHS), help="largest number of epochs")
    add_set_option(parser)
    parser.add_argument("--nj", type=types.processes, default=1, help="processes that read and compute metrics")
    add_device_option(parser)


def runs_from(args: Namespace) -> list[FrontEndRun]:
    """The runs that the options choose.

    Raises:
        TrnetError: If a YAML is wrong, or two are of one front-end.
    """
    configs = {}
    for path in args.configs:
        config = load_enh_config(path, args.max_epochs, args.set)
        if config.frontend in configs:
            raise TrnetError(f"--configs {path}: is a second one of {config.frontend}; train it apart with --tag")
        configs[config.frontend] = config
    parts = (args.data / "train", args.data / "valid", args.exp)
    return [FrontEndRun(config, *parts, seed) for config in configs.values() for seed in args.seeds]
