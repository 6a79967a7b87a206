"""Options that several entry points share."""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import configargparse

from trnet.config import Config, load_config
from trnet.errors import TrnetError, nearest
from trnet.kaldi.data_dir import MEAN, channel_of

if TYPE_CHECKING:
    import torch

    from trnet.frontend import FrontEnd


class Parser(configargparse.ArgumentParser):
    """Options from the command line or from a YAML file; an unknown one names the nearest."""

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong, exit status 2."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            stray = message.removeprefix(prefix).split()[0]
            known = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
            message = f"unknown option {stray}{nearest(stray, known)}"
        print(f"error: {self.prog}: {message}", file=sys.stderr)
        sys.exit(2)


def make_parser(verb: str, description: str) -> Parser:
    """A parser that also reads its options from ``--options FILE`` (YAML)."""
    parser = Parser(
        prog=f"python -m trnet.bin.{verb}",
        description=description,
        config_file_parser_class=configargparse.YAMLConfigFileParser,
        args_for_setting_config_path=["--options"],
        config_arg_help_message="read options from this YAML file; the command line has the last word",
        allow_abbrev=False,
    )
    return parser


def list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Type of a quoted list: ``--folds "1 2"``."""

    def parse(text: str) -> list[Any]:
        try:
            return list(dict.fromkeys(kind(word) for word in text.replace(",", " ").split()))
        except ValueError:
            raise ArgumentTypeError(f"'{text}' is not a list of {kind.__name__} values") from None

    return parse


def add_config_options(parser: Parser) -> None:
    """The experiment's YAML and what the command line may change in it."""
    parser.add_argument("--config", type=Path, required=True, help="the experiment's YAML")
    parser.add_argument("--frontend", help="front-end instead of the one in the YAML")
    parser.add_argument("--frontend-checkpoint", help="weights of the front-end, in its authors' format")
    parser.add_argument("--snrs", type=list_of(float), help='SNRs in dB, e.g. "20 15 10 5 0"')
    parser.add_argument("--max-epochs", type=int, help="largest number of epochs")


def add_device_option(parser: Parser) -> None:
    """CPU or GPU."""
    parser.add_argument("--ngpu", type=int, default=0, help="0: CPU; N: GPUs")


def add_channel_option(parser: Parser) -> None:
    """Which channel is taken of recordings that have several."""
    parser.add_argument(
        "--channel", type=channel, default=MEAN, help="channel of recordings that have several: 0, 1, ... or mean"
    )


def channel(text: str) -> int | None:
    """``0`` as 0, ``mean`` as None."""
    try:
        return channel_of(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def add_pipes_option(parser: Parser) -> None:
    """Whether a wav.scp may name programs."""
    parser.add_argument(
        "--allow-pipes",
        type=_true_or_false,
        default=False,
        metavar="{true,false}",
        help="true: entries 'program arguments |' of a wav.scp are read as Kaldi does, without a shell. WARNING: the "
        "programs that the list names are run; leave it false for lists that you have not written yourself",
    )


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"'{text}' is neither true nor false")
    return text == "true"


def add_wandb_option(parser: Parser) -> None:
    """Where curves go beside TensorBoard."""
    parser.add_argument("--wandb", metavar="PROJECT", help="project of Weights & Biases that gets the curves too")


def config_from(args: Namespace) -> Config:
    """The configuration with the command line's changes.

    Raises: TrnetError for anything wrong in the YAML.
    """
    overrides: dict[str, Any] = {}
    if args.snrs:
        overrides["simulation"] = {"snrs": args.snrs}
    if args.max_epochs is not None:
        if args.max_epochs < 1:
            raise TrnetError(f"--max-epochs {args.max_epochs}: train for at least 1 epoch")
        overrides["training"] = {"max_epochs": args.max_epochs}
    config = load_config(args.config, overrides)
    return with_frontend(config, args.frontend, args.frontend_checkpoint)


def with_frontend(config: Config, name: str | None, checkpoint: str | None) -> Config:
    """The configuration with another front-end; the YAML's frontend_conf belongs to the YAML's front-end only."""
    conf = dict(config.frontend_conf) if name in (None, config.frontend) else {}
    if checkpoint:
        conf.pop("init", None)
        conf["checkpoint"] = checkpoint
    return replace(config, frontend=name or config.frontend, frontend_conf=conf)


def device_from(args: Namespace) -> "torch.device":
    """The device to compute on.

    Raises: TrnetError if a GPU is asked for and there is none.
    """
    import torch  # here, because it takes seconds and not every stage needs it

    from trnet.device import gpu

    if args.ngpu > torch.cuda.device_count():
        raise TrnetError(f"--ngpu {args.ngpu}: PyTorch sees {torch.cuda.device_count() or 'no'} GPU here; use fewer")
    return gpu(int(os.environ.get("LOCAL_RANK", 0))) if args.ngpu else torch.device("cpu")


def frontend_from(config: Config, args: Namespace) -> "FrontEnd":
    """The front-end of the configuration.

    Raises: TrnetError if it cannot be built, or works at another rate than the features.
    """
    from trnet.frontend import build_frontend  # here, as it brings PyTorch

    frontend = build_frontend({"frontend": config.frontend, "frontend_conf": config.frontend_conf})
    if frontend.sample_rate != config.features.sample_rate:
        raise TrnetError(
            f"front-end {config.frontend}: works at {frontend.sample_rate} Hz, features.sample_rate is "
            f"{config.features.sample_rate} Hz; make them equal in {args.config}"
        )
    return frontend
