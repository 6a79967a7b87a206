"""All measurements on a GPU that is at hand for minutes: tests, training, CMGAN, nEMO's table.

Called by utils/bench_gpu.sh. It needs no network; docs/bench_train.md says which wheels to bring.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from trnet.bench.gpu_packages import check_gpu, check_imports, check_packages, install_wheels
from trnet.bench.gpu_session import ROOT, SHARES, STEPS, GpuSession, Plan
from trnet.bench.nemo_table import SYSTEMS
from trnet.utils.errors import TrnetError, nearest, one_line_errors

CORPORA = ("--corpus-dir", "--esc-dir", "--nonspeech-dir")
DATA = (*CORPORA, "--frontend-checkpoint")
MODULES = ("trnet.bin.options", "trnet.audio.reading", "trnet.kaldi.ark", "trnet.corpora.download")  # what brings them


class Parser(argparse.ArgumentParser):
    """Options; what is wrong with one is a line. Other commands' parser needs a package that may be missing here."""

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong, exit status 2."""
        print(f"error: {self.prog}: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)


def words(text: str) -> list[str]:
    """The words of a list, which blanks or commas part."""
    return text.replace(",", " ").split()


def numbers(text: str) -> list[int]:
    """A list of numbers from 1 on."""
    found = [int(word) for word in words(text)]
    if not found or min(found) < 1:
        raise ValueError
    return found


def seconds(text: str) -> float:
    """A time that is above 0."""
    found = float(text)
    if not 0 < found < 1e6:
        raise ValueError
    return found


def shares(text: str) -> dict[str, float]:
    """``tests=20 nemo=60``: parts of the budget, beside those that are not named."""
    named = {name: seconds(part) for name, _, part in (word.partition("=") for word in words(text))}
    if not named.keys() <= SHARES.keys():
        raise ValueError
    return SHARES | named


def get_parser() -> Parser:
    """Options."""
    parser = Parser(prog="bench_gpu.sh", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("budget", type=seconds, metavar="BUDGET_SECONDS", help="for all that is done, from the start of the command")
    add("out", type=Path, metavar="OUT", help="folder that gets at most 8 files")
    add("--steps", type=words, default=list(STEPS), help=f"of {' '.join(STEPS)}; the default is all")
    add("--shares", type=shares, default=SHARES, help='parts of the time that is left, e.g. "tests=10 nemo=60"')
    add("--work", type=Path, help="folder of unfinished work, which a later call takes up; OUT_work if not given")
    add("--again", action="store_true", help="do steps again that an earlier call finished")
    add("--wheels", type=Path, help="folder of wheels of packages that are missing here")
    for option in DATA:
        add(option, type=Path, help="the recipe's option")
    add("--systems", type=words, default=list(SYSTEMS), help="of nEMO's table")
    add("--folds", type=numbers, default=list(range(1, 10)), help="of nEMO's table")
    add("--seeds", type=numbers, default=[1, 2, 3], help="of nEMO's table")
    add("--seeds-a-call", type=int, default=1, help="seeds trained together; 1: one is finished before the next begins")
    add("--score-seconds", type=seconds, default=75.0, help="kept for scoring")
    add("--ngpu", type=int, choices=(0, 1), default=1, help="0: a rehearsal on a CPU")
    add("--nj", type=int, default=os.cpu_count() or 1, help="processes of the recipe's stages 1 to 4")
    add("--runs", type=int, default=8, help="runs trained at a time")
    add("--tests", type=words, default=[], help="test files; the default is all that have tests marked gpu")
    add("--train-options", default="", help='more options of bench_train, as --train-options="--epochs 2"')
    add("--cmgan-options", default="", help="options of bench_frontend in place of its own")
    add("--recipe-options", default="", help="more options of the recipe")
    add("--commit", default="", help="what is measured, where git cannot say: git describe --always --dirty")
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> int:
    """Carry out the plan; status 1 if something of it is not done."""
    began = time.monotonic()
    opts = get_parser().parse_args(args)
    for name in opts.steps:
        if name not in STEPS:
            raise TrnetError(f"--steps {name}: no such step{nearest(name, STEPS)}")
    given = {option: getattr(opts, option[2:].replace("-", "_")) for option in DATA}
    if "nemo" in opts.steps and (absent := [option for option in CORPORA if given[option] is None]):
        raise TrnetError(f"the step nemo needs {' '.join(absent)}; or leave it out: --steps 'tests train cmgan'")
    for option, path in given.items():
        if path is not None and not path.exists():
            raise TrnetError(f"{option} {path}: is not there")
    work = (opts.work or opts.out.with_name(f"{opts.out.name}_work")).absolute()
    plan = Plan(
        budget_s=opts.budget,
        out=opts.out.absolute(),
        work=work,
        steps=[name for name in STEPS if name in opts.steps],
        shares=opts.shares,
        again=opts.again,
        ngpu=opts.ngpu,
        nj=max(1, opts.nj),
        runs=max(1, opts.runs),
        tests=opts.tests,
        train_options=opts.train_options,
        cmgan_options=opts.cmgan_options,
        recipe_options=opts.recipe_options,
        corpora={option: str(path.absolute()) for option, path in given.items() if path is not None},
        systems=opts.systems,
        folds=opts.folds,
        seeds=opts.seeds,
        seeds_a_call=max(1, opts.seeds_a_call),
        score_s=opts.score_seconds,
        commit=opts.commit,
    )
    if opts.ngpu:
        check_gpu()
    for folder in (plan.out, plan.work):
        folder.mkdir(parents=True, exist_ok=True)
    session = GpuSession(plan, began)
    if opts.wheels is not None:
        install_wheels(opts.wheels.absolute(), session.site)
    check_packages(ROOT / "pyproject.toml", session.site)
    check_imports(MODULES, session.environment)
    return 0 if session.run() else 1


if __name__ == "__main__":
    sys.exit(main())
