"""One file of a trained run, for trnet-predict: of the run with the best validation UAR among those named."""

import sys
from argparse import Namespace

from trnet.bin import option_types as types
from trnet.bin.experiment_options import add_experiment_options, experiment_from
from trnet.bin.options import Parser, make_parser
from trnet.deploy.archive import is_model
from trnet.deploy.model_file import write_model
from trnet.deploy.pack import best_run, pack_inputs, pack_run, read_calibration
from trnet.folds import pick_folds
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.stamp import Stamp, file_digest, read_stamp


def get_parser() -> Parser:
    """Options of packing."""
    parser = make_parser("pack", __doc__)
    add_experiment_options(parser)
    parser.set_defaults(systems=["trnet"])
    parser.add_argument("--out", type=types.path, help="default: exp/<frontend>/<system>_fold<k>_seed<s>.zip")
    parser.add_argument(
        "--calibration", type=types.path, help="JSON of trnet.bin.calibrate: temperature of probabilities"
    )
    parser.add_argument("--half", action="store_true", help="keep matrices and kernels of weights in float16")
    parser.add_argument("--if-possible", action="store_true", help="what cannot be packed is reported, and no error")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Pack one run of each system named (trnet if none is)."""
    opts = get_parser().parse_args(args)
    experiment = experiment_from(opts)
    folds = pick_folds(experiment.dataset.folds, opts.folds)
    names = opts.systems or ["trnet"]
    if opts.out and len(names) > 1:
        raise TrnetError(f"--out {opts.out}: takes one system, not {' '.join(names)}")
    if opts.out and (opts.out.exists() or opts.out.is_symlink()) and not is_model(opts.out):
        raise TrnetError(f"--out {opts.out}: exists, and is no model; name another file, or remove it")
    try:
        for name in names:
            _pack(experiment, best_run(experiment, experiment.runs([name], folds, opts.seeds)), opts)
    except TrnetError as error:
        if not opts.if_possible:
            raise
        print(f"not packed: {error}")


def _pack(experiment: Experiment, run: RunSpec, opts: Namespace) -> None:
    file = f"{run.system}_fold{run.fold.number}_seed{run.seed}.zip"
    place = experiment.exp / experiment.config.frontend_name / file
    path = opts.out or place
    calibration = read_calibration(opts.calibration) if opts.calibration else None
    stamp = Stamp(place.parent, place.name, pack_inputs(experiment, run, calibration, opts.half))
    results = read_stamp(stamp.path).get("results")
    if not opts.out and stamp.done() and place.is_file() and results == {file: file_digest(place)}:
        print(f"{place}: up to date")
    else:
        packed = pack_run(experiment, run, path, calibration, opts.half)
        write_model(packed)
        if not opts.out:
            stamp.finish({file: file_digest(place)})
        uar = packed.about["valid_uar"]
        print(
            f"{path}: epoch {packed.about['epoch']}, "
            + ("nobody validated" if uar is None else f"validation UAR {uar:.2f} %")
        )
    earlier = sorted(other.name for other in path.parent.glob(f"{run.system}_fold*_seed*.zip") if other != path)
    if earlier:
        print(f"{path.parent}: also holds what was packed earlier: {' '.join(earlier)}")


if __name__ == "__main__":
    sys.exit(main())
