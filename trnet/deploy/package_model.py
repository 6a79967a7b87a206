"""The model for the package: its epochs and its card from the runs that hold speakers out, the file without a trace of
when and where it was made.
"""

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median_low

import pandas as pd
import soundfile

from trnet.config import Features
from trnet.deploy.model_file import ModelFile
from trnet.deploy.packaged import FILE
from trnet.deploy.packed_upstream import PackedUpstream, upstream_note
from trnet.eval.calibration import Calibration, error_of_predictions
from trnet.eval.csv_files import optional, read_checked_csv
from trnet.eval.predictions import read_predictions
from trnet.eval.statistics import COLUMNS
from trnet.eval.summary import in_means
from trnet.runs.experiment import Experiment
from trnet.runs.history import History
from trnet.runs.spec import RunSpec
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.numbers import whole

KEPT = (
    "corpus",
    "train_utts",
    "train_noise",
    "seed",
    "epoch",
    "epochs",
    "valid_uar",
    "calibration",
    "versions",
    "trnet",
)
"""Entries of ``about.json`` that are the same whenever the same model is made again on the same machine."""
MOST_BYTES = 9_900_000  # of what is in the package's file, which has less than 10 MB
LISTED = 5  # runs that a message names


def median_epochs(experiment: Experiment, systems: Sequence[str], seeds: Sequence[int]) -> dict[str, int]:
    """The median of the chosen epochs of each system's runs, all folds with these seeds (of an even number the lower).

    The teacher comes first, without whose runs those of others are none.

    Raises:
        TrnetError: If some are not trained to their end, with how many are; if features are missing.
    """
    found = {}
    for name in systems:
        histories: dict[RunSpec, History] = {}
        runs = experiment.runs([name], experiment.dataset.folds, seeds)
        for run in runs:
            if (history := experiment.finished(run)) is not None:
                histories[run] = history
        if absent := [run.folder.name for run in runs if run not in histories]:
            names = " ".join(absent[:LISTED]) + (" ..." if len(absent) > LISTED else "")
            raise TrnetError(
                f"{experiment.system_folder(name)}: {len(histories)} of {len(runs)} runs are finished (not {names}); "
                "train them first (stages 5 and 6), then make the model"
            )
        found[name] = median_low(experiment.rule.best(history) for history in histories.values())
    return found


def results_of(experiment: Experiment, system: str, seeds: Sequence[int]) -> pd.DataFrame:
    """UAR of a system on clean speech and on each noise set (mean over SNRs), with intervals, from statistics.csv.

    Raises:
        TrnetError: If the table is missing, or is not of all folds with these seeds.
    """
    path = experiment.exp / experiment.config.frontend_name / "statistics.csv"
    if not path.is_file():
        raise TrnetError(f"{path}: no such file; run stage 7 with all folds first")
    numbers = ("snr_db", "value", "low", "high")
    fields = dict.fromkeys(COLUMNS, str) | dict.fromkeys(numbers, optional) | {"speakers": whole, "seeds": whole}
    rows = read_checked_csv(path, fields)
    mine = rows[
        (rows["system"] == system)
        & (rows["against"] == "")
        & (rows["average"] == "speakers")
        & (rows["metric"] == "uar")
    ]
    found = mine[mine["snr_db"].isna()].reset_index(drop=True)
    tested = {experiment.data["utt2spk"][utt] for fold in experiment.dataset.folds for utt in fold.test}
    if found.empty or (found["speakers"] < len(tested)).any() or (found["seeds"] != len(seeds)).any():
        raise TrnetError(
            f"{path}: has no rows of {system} on all {len(tested)} speakers with {len(seeds)} seeds; run stage 7 with "
            "all folds and just these seeds"
        )
    return found


def results_table(results: pd.DataFrame) -> str:
    """The rows of `results_of` in Markdown."""
    lines = ["| speech | UAR (%) | 95 % interval |", "|---|--:|--:|"]
    for noise, value, low, high in results[["noise", "value", "low", "high"]].values.tolist():
        name = "clean" if noise == "clean" else f"{noise} noise, mean over SNRs"
        ends = "" if math.isnan(low) else f"{low:.1f} to {high:.1f}"
        lines.append(f"| {name} | {value:.1f} | {ends} |")
    return "\n".join(lines)


def calibration_table(experiment: Experiment, calibration: Calibration) -> str:
    """The calibration error of validation and of test speakers before and after, in Markdown.

    Raises:
        TrnetError: If the predictions of stage 7 are missing.
    """
    path = experiment.exp / experiment.config.frontend_name / "predictions.csv"
    every = read_predictions(path)
    mine = in_means(every[every["system"] == calibration.system], experiment.config.simulation.test_snrs)
    parts = {"clean": mine["noise"] == "clean", "noise": mine["noise"] != "clean"}
    lines = ["| speakers | before (%) | after (%) |", "|---|--:|--:|"]
    lines.append(f"| validation, clean and noise | {calibration.ece[0]:.1f} | {calibration.ece[1]:.1f} |")
    for name, chosen in parts.items():
        if chosen.any():
            errors = [error_of_predictions(mine[chosen], t, calibration.bins) for t in (1.0, calibration.temperature)]
            lines.append(f"| test, {name} | {errors[0]:.1f} | {errors[1]:.1f} |")
    return "\n".join(lines)


def check_size(made: ModelFile) -> int:
    """Bytes of what is in a model file.

    Raises:
        TrnetError: If it is the package's, and has too many.
    """
    size = sum(map(len, made.entries().values()))
    if size > MOST_BYTES and made.path.name == FILE:
        raise TrnetError(f"{made.path}: would have {size / 1e6:.1f} MB, less than 10 MB go into the package")
    return size


def recorded_as(path: Path) -> str:
    """Format, coding and sampling rate of a recording, for a card: ``OGG (OPUS) at 16 kHz``.

    Raises:
        TrnetError: If it cannot be read.
    """
    try:
        found = soundfile.info(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise TrnetError(
            f"{path}: cannot be read as audio ({first_line(error)}); the card says how it is coded"
        ) from None
    return f"{found.format} ({found.subtype}) at {found.samplerate / 1000:g} kHz"


def words_of(features: Features) -> str:
    """What the recogniser reads, for a card."""
    if isinstance(features, PackedUpstream):
        return f"hidden states of {features.model}"
    return "log-mels" if features.type == "fbank" else features.type


def packaged_file(packed: ModelFile, path: Path, speakers: Sequence[str]) -> ModelFile:
    """The model file for the package: the same every time it is made from the same data on the same machine.

    Raises:
        TrnetError: If the model has held somebody out, or has no temperature.
    """
    if packed.about.get("test_speaker") or packed.about.get("valid_uar") is not None:
        raise TrnetError(f"{packed.path}: holds speakers out; the package gets one of all speakers (folds.kind all)")
    if packed.settings.temperature is None:
        raise TrnetError(f"{packed.path}: has no temperature; pack it with --calibration")
    about = {key: packed.about[key] for key in KEPT} | {"fold": "all", "speakers": list(speakers), "scores": []}
    return replace(packed, path=path, about=about)


def make_card(template: str, name: str, fields: Mapping[str, object]) -> str:
    """A card from a recipe's words, with `fields` in place of ``${field}``; `name` is the template's, for errors.

    Raises:
        TrnetError: For a field that there is not.
    """
    try:
        return string.Template(template).substitute({key: str(value) for key, value in fields.items()})
    except (KeyError, ValueError) as error:
        known = " ".join(f"${{{key}}}" for key in fields)
        raise TrnetError(f"{name}: {error} is no field of a card; there are {known}") from None


def card_fields(
    packed: ModelFile, experiment: Experiment, epochs: Mapping[str, int], seeds: Sequence[int]
) -> dict[str, object]:
    """What a card may say of a packaged model and of the runs that held speakers out (`experiment`, of all folds)."""
    about, calibration = packed.about, Calibration(**packed.about["calibration"])
    results = results_of(experiment, packed.settings.name, seeds)
    note = upstream_note(packed.settings.features)
    return {
        "classes": ", ".join(packed.classes),
        "chance": f"{100 / len(packed.classes):.0f}",
        "speakers": len(about["speakers"]),
        "utterances": about["train_utts"],
        "recordings": recorded_as(experiment.data.clip(experiment.data.utts[0]).path),
        "train_noise": about["train_noise"],
        "snrs": ", ".join(f"{snr:g}" for snr in experiment.config.simulation.snrs),
        "teacher_epochs": next(iter(epochs.values())),
        "epochs": about["epoch"],
        "seed": about["seed"],
        "command": "trnet-predict my.wav" if packed.path.name == FILE else f"trnet-predict {packed.path.name} my.wav",
        "features": words_of(packed.settings.features),
        "upstream": f"\n- {note}" if note else "",  # a line of the list
        "parameters": f"{sum(x.numel() for x in packed.weights.values() if x.is_floating_point()) / 1e6:.1f}",
        "results": results_table(results),
        "resampled": results["resampled"].iloc[0],
        "folds": len(experiment.dataset.folds),
        "seeds": " ".join(map(str, seeds)),
        "temperature": f"{calibration.temperature:.2f}",
        "bins": calibration.bins,
        "calibration": calibration_table(experiment, calibration),
        "versions": about["versions"],
    }
