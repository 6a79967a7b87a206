"""How sure the scores are: intervals of each system, paired tests of one system against the others, statistics.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from trnet.eval.csv_files import PathLike
from trnet.eval.intervals import (
    AVERAGES,
    METRICS,
    MIN_SPEAKERS,
    SPEAKERS,
    UTTERANCES,
    bootstrap_interval,
    counts,
    difference_parts,
    holm,
    resampled_unit,
    scores,
    sign_flip_p,
)
from trnet.eval.predictions import Prediction, Predictions, snr_text, system_key
from trnet.eval.score_matrix import Condition, Grid, check_paired, make_grid
from trnet.eval.summary import SYSTEM_NAMES, Group, count
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text

OURS = "trnet"  # the system that the others are compared with
FEWEST = 100  # resamples or permutations that can give an interval or a p


@dataclass(frozen=True, slots=True)
class Statistic:
    """A score of one system, or (``against`` is set) its difference to another system, in percent.

    ``snr_db`` is None for clean speech and for the average over a noise set's SNRs. ``average`` and ``metric``: see
    trnet.eval.intervals. ``std`` is the standard deviation over seeds, ``low`` and ``high`` the ends of the 95 %
    interval, ``resampled`` what it resamples; the ``p`` are two-sided, ``_holm`` adjusted over all comparisons with
    the same metric and average. What is impossible is None, and ``note`` says why.
    """

    system: str
    frontend: str
    against: str
    noise: str
    snr_db: float | None
    average: str
    metric: str
    speakers: int
    utts: int
    seeds: int
    value: float
    std: float | None = None
    low: float | None = None
    high: float | None = None
    resampled: str | None = None
    p_utts: float | None = None
    p_utts_holm: float | None = None
    p_speakers: float | None = None
    p_speakers_holm: float | None = None
    note: str = ""


COLUMNS = tuple(field.name for field in fields(Statistic))


@dataclass(frozen=True)
class Statistics:
    """All rows of statistics.csv; what could not be computed, and why; how it was computed."""

    rows: tuple[Statistic, ...]
    refused: tuple[str, ...]
    resamples: int
    permutations: int
    seed: int

    def find(self, group: Group, noise: str, snr_db: float | None, average: str, metric: str) -> Statistic | None:
        """A system's own row."""
        wanted = (*group, "", noise, snr_db, average, metric)
        return next((row for row in self.rows if _place(row) == wanted), None)

    def comparisons(self, average: str, metric: str) -> list[Statistic]:
        """The rows that compare two systems."""
        return [row for row in self.rows if row.against and (row.average, row.metric) == (average, metric)]


def _place(row: Statistic) -> tuple[object, ...]:
    return (row.system, row.frontend, row.against, row.noise, row.snr_db, row.average, row.metric)


def _targets(grid: Grid, per_snr: bool) -> dict[Condition, list[Condition]]:
    """What is scored: clean speech, each noise set averaged over its SNRs, and (`per_snr`) each SNR of it."""
    targets: dict[Condition, list[Condition]] = {}
    for noise in grid.noises:
        mine = [condition for condition in grid.conditions if condition[0] == noise]
        targets[noise, None] = mine
        if per_snr:
            targets |= {condition: [condition] for condition in mine if condition[1] is not None}
    return targets


def _few_speakers(grid: Grid) -> str:
    unit = resampled_unit(len(grid.names))
    if unit is None:
        return "interval impossible: one test speaker"
    if unit == UTTERANCES:
        return f"utterances of these {len(grid.names)} speakers resampled: over speakers it takes {MIN_SPEAKERS}"
    return ""


def _rows(
    group: Group,
    against: str,
    grid: Grid,
    targets: Mapping[Condition, list[Condition]],
    share: np.ndarray,
    per_seed: list[np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> list[Statistic]:
    """A row for each target, average and metric: value, deviation over seeds, interval."""
    classes = grid.classes
    of_seeds = np.stack([scores(*counts(one, grid.labels, grid.speakers, classes)) for one in per_seed])
    value = scores(*counts(share, grid.labels, grid.speakers, classes))
    std = of_seeds.std(axis=0, ddof=1) if len(per_seed) > 1 else None
    ends = bootstrap_interval(share, grid.labels, grid.speakers, resamples=resamples, seed=seed)
    rows = []
    for k, (noise, snr) in enumerate(targets):
        for i, average in enumerate(AVERAGES):
            for j, metric in enumerate(METRICS):
                at = (i, j, k)
                rows.append(
                    Statistic(
                        *group,
                        against,
                        noise,
                        snr,
                        average,
                        metric,
                        len(grid.names),
                        len(grid.keys),
                        len(grid.seeds),
                        float(value[at]),
                        std=None if std is None else float(std[at]),
                        low=None if ends is None else float(ends[0][at]),
                        high=None if ends is None else float(ends[1][at]),
                        resampled=resampled_unit(len(grid.names)),
                        note=_few_speakers(grid),
                    )  # fmt: skip
                )
    return rows


def _shares(grid: Grid, targets: Mapping[Condition, list[Condition]]) -> tuple[np.ndarray, list[np.ndarray]]:
    one_seed = [replace(grid, right=grid.right[:, i : i + 1]) for i in range(len(grid.seeds))]
    return grid.share_right(targets.values()), [one.share_right(targets.values()) for one in one_seed]


def _compare(
    ours: Group, other: str, grid: Grid, against: Grid, *, resamples: int, permutations: int, seed: int
) -> list[Statistic]:
    """Rows of the difference between two systems, with p not yet adjusted."""
    check_paired(grid, against)
    targets = _targets(grid, per_snr=False)
    mine, mine_per_seed = _shares(grid, targets)
    theirs, theirs_per_seed = _shares(against, targets)
    share = mine - theirs
    per_seed = [a - b for a, b in zip(mine_per_seed, theirs_per_seed, strict=True)]
    rows = _rows(ours, other, grid, targets, share, per_seed, resamples=resamples, seed=seed)
    parts = difference_parts(share, grid.labels, grid.speakers)
    by_utt = sign_flip_p(parts, resamples=permutations, seed=seed)
    by_speaker = None
    if resampled_unit(len(grid.names)) == SPEAKERS:
        of_speaker = parts @ np.eye(len(grid.names))[grid.speakers]
        by_speaker = sign_flip_p(of_speaker, resamples=permutations, seed=seed)
    places = list(targets)
    tested = []
    for row in rows:
        at = (AVERAGES.index(row.average), METRICS.index(row.metric), places.index((row.noise, row.snr_db)))
        p_speakers = None if by_speaker is None else float(by_speaker[at])
        tested.append(replace(row, p_utts=float(by_utt[at]), p_speakers=p_speakers))
    return tested


def _adjusted(rows: list[Statistic]) -> list[Statistic]:
    """Holm over the comparisons (systems x clean and noise sets) of the same system, average and metric."""
    rows = list(rows)
    for name in ("p_utts", "p_speakers"):
        families: dict[tuple[str, ...], list[int]] = {}
        for i, row in enumerate(rows):
            if getattr(row, name) is not None:
                families.setdefault((row.system, row.frontend, row.average, row.metric), []).append(i)
        for family in families.values():
            raw = np.array([getattr(rows[i], name) for i in family])
            for i, value in zip(family, holm(raw), strict=True):
                rows[i] = replace(rows[i], **{f"{name}_holm": float(value)})
    return rows


def compute_statistics(
    predictions: Predictions,
    speakers: Mapping[str, str] | None = None,
    *,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
    ours: str = OURS,
) -> Statistics:
    """Intervals of every system and tests of `ours` against the other systems with the same front end.

    A system whose seeds or conditions differ in utterances, and a pair of systems that did not answer the same, are
    left out, and ``refused`` names what is missing.

    Args:
        predictions: Predictions of the systems.
        speakers: Test speaker of each utterance; without it a fold is taken for one speaker.
        resamples: Bootstrap samples.
        permutations: Random assignments of signs in a test.
        seed: Seed of both.
        ours: System that is compared with the others.

    Raises: TrnetError if resamples or permutations are too few to give an interval or a p.
    """
    for name, value in (("resamples", resamples), ("permutations", permutations)):
        if value < FEWEST:
            raise TrnetError(f"--{name} {value}: give {FEWEST} or more")
    by_group: dict[Group, list[Prediction]] = {}
    for row in predictions.rows:
        by_group.setdefault((row.system, row.frontend), []).append(row)
    groups = sorted(by_group, key=lambda group: (system_key(group[0]), group[1]))
    pairs = [(a, b) for a in groups if a[0] == ours for b in groups if b[1] == a[1] and b != a]
    rows: list[Statistic] = []
    compared: list[Statistic] = []
    refused: list[str] = []
    grids: dict[Group, Grid] = {}
    with tqdm(total=len(groups) + len(pairs), desc="statistics", unit="system") as bar:
        for group in groups:
            try:
                grid = grids[group] = make_grid(by_group[group], predictions.classes, speakers)
                targets = _targets(grid, per_snr=True)
                rows += _rows(group, "", grid, targets, *_shares(grid, targets), resamples=resamples, seed=seed)
            except TrnetError as error:
                refused.append(f"{_name(group[0])}: no interval: {error}")
            bar.update()
        for mine, other in pairs:
            if mine in grids and other in grids:
                how = {"resamples": resamples, "permutations": permutations, "seed": seed}
                try:
                    compared += _compare(mine, other[0], grids[mine], grids[other], **how)
                except TrnetError as error:
                    refused.append(f"{_name(mine[0])} (the first) against {_name(other[0])} (the second): {error}")
            bar.update()
    if not pairs:
        refused.append(f"no comparison: it takes {_name(ours)} and another system with the same front end")
    return Statistics((*rows, *_adjusted(compared)), tuple(refused), resamples, permutations, seed)


def _name(system: str) -> str:
    return SYSTEM_NAMES.get(system, system)


def explain(statistics: Statistics) -> str:
    """What the intervals and p-values are, in words for a report."""
    own = [row for row in statistics.rows if not row.against]
    speakers = sorted({row.speakers for row in own})
    text = (
        f"95 % percentile bootstrap intervals ({statistics.resamples} resamples, seed {statistics.seed}) of the mean "
        "over test speakers, which is the mean over folds where each has one speaker. All seeds and conditions of a "
        "speaker are drawn together. "
        f"From {MIN_SPEAKERS} speakers on, speakers are resampled: with fewer, an interval over speakers cannot hold "
        "95 % (at most 1 - 2^(1-S) with S speakers), so utterances within each speaker are, and the interval speaks of "
        "these speakers alone; with one speaker there is no interval."
    )
    for number in speakers:
        unit = {None: "no interval", SPEAKERS: "speakers resampled", UTTERANCES: "utterances resampled"}
        text += f" Here: {count(number, 'test speaker')}, {unit[resampled_unit(number)]}."
    return text


def explain_tests(statistics: Statistics) -> str:
    """What the p-values are, in words for a report."""
    return (
        "Difference in UAR on the same utterances, mean over test speakers, with its 95 % interval. Two-sided "
        f"sign-flip tests ({statistics.permutations} assignments of signs at most, seed {statistics.seed}): over "
        "utterances, stratified by speaker (are the two systems interchangeable on these speakers? Cautious where one "
        "is better in some classes and worse in others), and over speakers (would it "
        f"hold for others?), the latter from {MIN_SPEAKERS} speakers on, as fewer cannot give p < 0.05. An utterance's "
        "seeds and SNRs keep together. Holm's adjustment is over all comparisons of this table."
    )


def write_statistics(path: PathLike, statistics: Statistics) -> None:
    """Write statistics.csv, whole or not at all; what is impossible is an empty field with a note."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)

    def field(name: str, value: object) -> object:
        if name == "snr_db":
            return snr_text(value)  # type: ignore[arg-type]
        if isinstance(value, float):
            return f"{value:.6f}" if name.startswith("p_") else f"{value:.4f}"
        return "" if value is None else value

    for row in statistics.rows:
        writer.writerow([field(name, getattr(row, name)) for name in COLUMNS])
    write_text(Path(path), text.getvalue())
