"""Options that several entry points share."""

import io
import json
import os
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import configargparse

from trnet.bin import option_types as types
from trnet.config import MOST_EPOCHS, Config, load_config, with_settings
from trnet.config.yaml_files import read_mapping
from trnet.kaldi.data_dir import MEAN
from trnet.utils.errors import TrnetError, missing_package, nearest, printable
from trnet.utils.files import write_text

if TYPE_CHECKING:
    import torch

    from trnet.frontend import FrontEnd


class OptionsFile(configargparse.YAMLConfigFileParser):
    """Options in a YAML file, the same words as on the command line."""

    def parse(self, stream: "_Options") -> dict[str, str | list[str]]:
        """The options of a file; a key without a value is left to its default."""
        options = {}
        for key, value in stream.options.items():
            if isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
                raise configargparse.ConfigFileParserException(
                    f"{stream.name}: {key}: must be a text or a list of them"
                )
            if value not in ("", "null", "~"):
                options[key] = value
        return options


class _Options(io.StringIO):
    """What configargparse takes for an open file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.name, self.options = str(path), read_mapping(Path(path), "file of options", words=True)


class Parser(configargparse.ArgumentParser):
    """Options from the command line or from a YAML file; an unknown one names the nearest."""

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong, exit status 2."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            stray = message.removeprefix(prefix).split()[0]
            known = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
            message = f"unknown option {stray}{nearest(stray, known)}"
        print(f"error: {self.prog}: {printable(' '.join(message.split()))}", file=sys.stderr)
        sys.exit(2)


def make_parser(verb: str, description: str) -> Parser:
    """A parser that also reads its options from ``--options FILE`` (YAML)."""
    parser = Parser(
        prog=f"python -m trnet.bin.{verb}",
        description=description,
        config_file_parser_class=OptionsFile,
        config_file_open_func=_Options,
        allow_abbrev=False,
    )
    last_word = "read options from this YAML file; the command line has the last word"
    parser.add_argument("--options", is_config_file=True, type=types.path, metavar="FILE", help=last_word)
    return parser


def add_config_options(parser: Parser) -> None:
    """The experiment's YAML and what the command line may change in it."""
    parser.add_argument("--config", type=types.path, required=True, help="the experiment's YAML")
    parser.add_argument("--frontend", type=types.frontend, help="front-end instead of the one in the YAML")
    help_text = "weights of the front-end, in its authors' format"
    parser.add_argument("--frontend-checkpoint", type=types.path_text, help=help_text)
    parser.add_argument("--snrs", type=types.list_of(types.decibels), help='SNRs in dB, e.g. "20 15 10 5 0"')
    parser.add_argument("--max-epochs", type=types.count(1, MOST_EPOCHS), help="largest number of epochs")
    add_set_option(parser)


def add_set_option(parser: Parser) -> None:
    """Any setting of the YAML."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help='any settings of the YAML, e.g. "training.lr=5e-4 encoder.channels=[16,32]"; may be given again',
    )


def add_device_option(parser: Parser) -> None:
    """CPU or GPU."""
    parser.add_argument("--ngpu", type=types.count(0, types.MOST_PROCESSES), default=0, help="0: CPU; N: GPUs")


def add_upstream_option(parser: Parser) -> None:
    """Where a model's pretrained network lies."""
    help_text = (
        "folder of the pretrained network behind the features, where the model neither carries it nor finds it on the "
        "Hugging Face hub"
    )
    parser.add_argument("--upstream", type=types.path, metavar="FOLDER", help=help_text)


def add_channel_option(parser: Parser) -> None:
    """Which channel is taken of recordings that have several."""
    help_text = "channel that is taken of recordings that have several: 0, 1, ... or mean"
    parser.add_argument("--channel", type=types.channel, default=MEAN, help=help_text)


def add_pipes_option(parser: Parser) -> None:
    """Whether a wav.scp may name programs."""
    parser.add_argument(
        "--allow-pipes",
        type=types.true_or_false,
        default=False,
        metavar="{true,false}",
        help="true: entries 'program arguments |' of a wav.scp are read as Kaldi does, without a shell. WARNING: the "
        "programs that the list names are run; leave it false for lists that you have not written yourself",
    )


def add_output_options(parser: Parser) -> None:
    """Where a benchmark's numbers go."""
    parser.add_argument("--json", type=types.path, help="write the numbers there")
    parser.add_argument("--markdown", type=types.path, help="write the tables there")


def hand_out(numbers: dict[str, Any], text: str, args: Namespace) -> None:
    """Print a benchmark's tables `text`, and write them and its `numbers` as ``--json`` and ``--markdown`` ask."""
    print(text)
    if args.json:
        write_text(args.json, json.dumps(numbers, indent=1) + "\n")
    if args.markdown:
        write_text(args.markdown, text)


def add_wandb_option(parser: Parser) -> None:
    """Where curves go beside TensorBoard."""
    parser.add_argument("--wandb", metavar="PROJECT", help="project of Weights & Biases that gets the curves too")


def check_wandb(args: Namespace) -> None:
    """Check, before anything is read, that what sends curves to Weights & Biases is installed.

    Raises:
        TrnetError: If it is not.
    """
    if args.wandb and sys.modules.get("wandb") is None and find_spec("wandb") is None:
        raise TrnetError(f"--wandb: {missing_package('wandb', 'wandb')}; or leave the option out")


def config_from(args: Namespace) -> Config:
    """The configuration with the command line's changes.

    Raises:
        TrnetError: For anything wrong in the YAML.
    """
    overrides: dict[str, Any] = {}
    if args.snrs:
        overrides["simulation"] = {"snrs": args.snrs}
    if args.max_epochs is not None:
        overrides["training"] = {"max_epochs": args.max_epochs}
    config = with_frontend(load_config(args.config, overrides), args.frontend, args.frontend_checkpoint)
    return with_settings(config, args.set)


def check_systems(config: Config, args: Namespace) -> None:
    """Check the systems that the command line names.

    Raises:
        TrnetError: If the configuration has no systems, or not those that the command line names.
    """
    if not config.systems:
        raise TrnetError(f"{args.config}: has no systems; begin it with 'base: PATH/egs/TEMPLATE/ser1/conf/paper.yaml'")
    for name in args.systems:
        config.system(name)


def with_frontend(config: Config, name: str | None, checkpoint: str | None) -> Config:
    """The configuration with another front-end; the YAML's frontend_conf belongs to the YAML's front-end only."""
    conf = dict(config.frontend_conf) if name in (None, config.frontend) else {}
    if checkpoint:
        conf.pop("init", None)
        conf["checkpoint"] = checkpoint
    return config.replace(frontend=name or config.frontend, frontend_conf=conf)


def device_from(args: Namespace) -> "torch.device":
    """The device to compute on.

    Raises:
        TrnetError: If a GPU is asked for and there is none.
    """
    import torch  # here, because it takes seconds and not every stage needs it

    from trnet.utils.device import gpu

    check_gpus(args)
    return gpu(int(os.environ.get("LOCAL_RANK", 0))) if args.ngpu else torch.device("cpu")


def check_gpus(args: Namespace) -> None:
    """Check that there are so many GPUs.

    Raises:
        TrnetError: If more GPUs are asked for than there are.
    """
    import torch

    if args.ngpu > torch.cuda.device_count():
        raise TrnetError(f"--ngpu {args.ngpu}: PyTorch sees {torch.cuda.device_count() or 'no'} GPU here; use fewer")


def frontend_from(config: Config, args: Namespace) -> "FrontEnd":
    """The front-end of the configuration. TrnetError if it cannot be built, or has another rate than the features."""
    from trnet.frontend import build_frontend  # here, as it brings PyTorch

    frontend = build_frontend(config.frontend_settings)
    if frontend.sample_rate != config.features.sample_rate:
        raise TrnetError(
            f"front-end {config.frontend}: works at {frontend.sample_rate} Hz, features.sample_rate is "
            f"{config.features.sample_rate} Hz; make them equal in {args.config}"
        )
    return frontend
