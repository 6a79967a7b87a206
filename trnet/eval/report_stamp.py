"""The stamp of a report: what it was made from, so that stage 7 is not done again where nothing has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trnet.conditions import CLEAN, Condition
from trnet.eval.other_corpus import OtherCorpus
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.utils.stamp import Stamp, digest, dir_digest, file_digest, read_stamp

REVISION = 1  # raised when the numbers change; a report of another layout is not made again
STEP = "report"
RUN_FILES = ("best.pt", "last.pt", "history.csv")


def report_inputs(
    experiment: Experiment,
    runs: Sequence[RunSpec],
    noisy: Sequence[Condition],
    other: OtherCorpus | None,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """All that decides a report, as names and digests; for a :class:`trnet.utils.stamp.Stamp`.

    Args:
        experiment: The experiment of the runs.
        runs: The runs that are scored.
        noisy: The noisy conditions.
        other: The corpus that is tested on, if it is another one.
        options: Settings of the report itself.

    Raises:
        TrnetError: Features are missing, or made from something else than this configuration says.
    """
    tested = other or experiment
    conditions = [CLEAN, *noisy]
    systems = dict.fromkeys(run.system for run in runs)
    shown = [] if other else _shown(experiment, noisy)
    return {
        "revision": REVISION,
        "configuration": digest(experiment.config.record()),
        "options": digest(dict(options)),
        "corpus": dir_digest(experiment.data.path),
        "tested": dir_digest(tested.data.path),
        "features": {name: digest(tested.features_of(name, conditions)) for name in systems},
        "folders": {str(folder): dir_digest(folder) for folder in shown if folder.is_dir()},
        "runs": {
            f"{run.system}/{run.folder.name}": _run(experiment, run)
            for run in tqdm(runs, desc="look for changes", unit="run", leave=False)
        },
    }


def _shown(experiment: Experiment, noisy: Sequence[Condition]) -> list[Path]:
    """Folders whose noises and audio report.html shows."""
    data, dump = experiment.data.path.parent, experiment.dump / experiment.config.frontend_name
    sets = [condition.data_name(experiment.dataset.corpus) for condition in noisy]
    noises = dict.fromkeys(f"noise_{condition.noise}" for condition in noisy)
    return [*(data / name for name in (*noises, *sets)), *(dump / name for name in sets)]


def _run(experiment: Experiment, run: RunSpec) -> str:
    files = {file: file_digest(run.folder / file) for file in RUN_FILES if (run.folder / file).is_file()}
    return digest([experiment.stamp(run).made_from, run.fold.test, files])


def report_stamp(out: Path, made_from: dict[str, Any], suffix: str = "") -> Stamp:
    """The stamp of the report with this suffix (see trnet.eval.coverage) in a folder."""
    return Stamp(out, f"{STEP}{suffix}", made_from)


def finished_report(out: Path, made_from: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The suffix of a finished report in a folder that was made from this (None: there is none).

    Returns: That, and the names of its files that are gone or were changed since.
    """
    for path in sorted(out.glob(f".{STEP}*.json")):
        suffix = path.name.removeprefix(f".{STEP}").removesuffix(".json")
        if report_stamp(out, made_from, suffix).done():
            files = read_stamp(path).get("results", {})
            return suffix, [name for name, known in files.items() if not _is(out / name, known)]
    return None, []


def _is(path: Path, known: object) -> bool:
    return path.is_file() and file_digest(path) == known


def digests_of(out: Path, files: Iterable[Path]) -> dict[str, str]:
    """Digests of a report's files, which its stamp keeps."""
    return {str(path.relative_to(out)): file_digest(path) for path in files}
