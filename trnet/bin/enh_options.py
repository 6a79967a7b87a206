"""Options of the entry points that train and score front-ends."""

from argparse import Namespace
from pathlib import Path

from trnet.bin.options import Parser, add_device_option, list_of
from trnet.enh.config import load_enh_config
from trnet.enh.runs import TrainedFrontEnd
from trnet.errors import TrnetError


def add_run_options(parser: Parser) -> None:
    """What names the runs."""
    parser.add_argument("--configs", type=list_of(Path), required=True, help="YAML of each front-end")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of train/, valid/ and test/")
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="folder of runs")
    parser.add_argument("--seeds", type=list_of(int), default=[1], help="seeds")
    parser.add_argument("--max-epochs", type=int, help="largest number of epochs")
    parser.add_argument("--nj", type=int, default=1, help="processes that read segments and compute metrics")
    add_device_option(parser)


def runs_from(args: Namespace) -> list[TrainedFrontEnd]:
    """The runs that the options name.

    Raises: TrnetError for anything wrong in a YAML, or two of them for one front-end.
    """
    if not args.seeds or min(args.seeds) < 1:
        raise TrnetError(f"--seeds {args.seeds}: seeds count from 1; name at least one")
    configs = {}
    for path in args.configs:
        config = load_enh_config(path, args.max_epochs)
        if config.frontend in configs:
            raise TrnetError(f"--configs {path}: is a second one of {config.frontend}; train it apart with --tag")
        configs[config.frontend] = config
    parts = (args.data / "train", args.data / "valid", args.exp)
    return [TrainedFrontEnd(config, *parts, seed) for config in configs.values() for seed in args.seeds]
