"""Stage 4: features of clean, noisy and enhanced sets in ark/scp: log-mels, or a pretrained network's hidden states."""

import sys
from argparse import Namespace
from pathlib import Path

from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    add_pipes_option,
    config_from,
    device_from,
    make_parser,
)
from trnet.config import Config
from trnet.features.archive import make_all_archives
from trnet.kaldi.validate import valid_data_dir
from trnet.utils.errors import TrnetError, one_line_errors


def get_parser() -> Parser:
    """Options of stage 4."""
    parser = make_parser("make_fbank", __doc__)
    add_config_options(parser)
    parser.add_argument("--sets", type=types.list_of(types.path), required=True, help="data dirs, clean and noisy")
    parser.add_argument("--dump", type=types.path, default=Path("dump"), help="folder of enhanced sets and features")
    parser.add_argument(
        "--corpus-data",
        type=types.path,
        help="clean data dir, each fold of which chooses a layer if features.layer is auto",
    )
    parser.add_argument("--exp", type=types.path, default=Path("exp"), help="folder of runs; that choice is EXP/probe")
    parser.add_argument("--nj", type=types.processes, default=1, help="processes (one on a GPU)")
    parser.add_argument("--shard", type=types.shard, default=(1, 1), help="k/n: every n-th set from the k-th on")
    add_device_option(parser)
    add_pipes_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Write features of each set to ``<dump>/raw/<set>``, of its enhanced audio to ``<dump>/<frontend>/<set>``.

    Hidden states go to ``<dump>/<upstream>_<layer>/raw/<set>`` and ``<dump>/<upstream>_<layer>/<frontend>/<set>``.
    """
    opts = get_parser().parse_args(args)
    config = config_from(opts)
    sets = []
    for folder in opts.sets:
        enhanced = opts.dump / config.frontend_name / folder.name
        data = valid_data_dir(folder, ("wav.scp",), allow_pipes=opts.allow_pipes)
        sets.append((data, f"raw/{folder.name}"))
        sets.append((valid_data_dir(enhanced, ("wav.scp",)), f"{config.frontend_name}/{folder.name}"))
    for each in configs_of(config, opts):
        make_all_archives(sets, opts.dump, each, opts.nj, device_from(opts), opts.shard)


def configs_of(config: Config, opts: Namespace) -> list[Config]:
    """The configuration, with each layer that folds have where that is `auto`."""
    if not config.features.by_fold:
        return [config]
    from trnet.probe.choice import layer_configs  # here, as it brings pandas
    from trnet.runs.experiment import Experiment

    if opts.corpus_data is None:
        raise TrnetError(
            "--corpus-data: name the clean data dir, whose folds choose their layers (features.layer: auto)"
        )
    data = valid_data_dir(opts.corpus_data, ("utt2emo", "utt2group", "utt2dur"), audio=False)
    experiment = Experiment(config, data, opts.dump, opts.exp)
    return layer_configs(experiment, opts.nj, device_from(opts), opts.shard, opts.allow_pipes)


if __name__ == "__main__":
    sys.exit(main())
