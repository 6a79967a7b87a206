"""Averages over folds, SNRs and seeds, and which runs they lack: the numbers of the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from trnet.eval.predictions import (
    Predictions,
    Result,
    natural_key,
    noise_key,
    system_key,
)
from trnet.metrics import mean_std

Group = tuple[str, str]  # a system with one front end: the rows of the tables
Summary = tuple[float, float | None]  # mean, and standard deviation where there is one

SYSTEM_NAMES = {
    "baseline_c": "Baseline-c",
    "baseline_n": "Baseline-n",
    "baseline_e": "Baseline-e",
    "trnet": "TRNet",
    "trnet_wo_low": "TRNet w/o L_low",
    "trnet_wo_high": "TRNet w/o L_high",
}


def summarise(rows: Iterable[Result], metric: str) -> Summary | None:
    """Fold mean of ``metric`` ("uar" or "war", percent), averaged over seeds; None if no rows.

    Within one seed a fold's conditions (SNRs) are averaged first, then the folds. The
    deviation over seeds is None for one seed, and where the seeds do not cover the same
    folds, conditions and numbers of utterances, since it would then mix other differences in.
    """
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    covered: dict[int, set[object]] = defaultdict(set)
    for row in rows:
        values[row.seed][row.fold].append(getattr(row, metric))
        covered[row.seed].add((row.fold, row.noise, row.snr_db, row.n_utts))
    if not values:
        return None
    folds = [values[seed].values() for seed in sorted(values)]
    per_seed = [float(np.mean([np.mean(fold) for fold in of_seed])) for of_seed in folds]
    mean, std = mean_std(per_seed)
    same = all(keys == next(iter(covered.values())) for keys in covered.values())
    return mean, std if same else None


@dataclass(frozen=True)
class Board:
    """Results by system, with the folds and seeds that a complete system has.

    ``labels`` are the names in tables and figures: the paper's, with the front end where a
    system was run with several.
    """

    rows: dict[Group, list[Result]]
    labels: dict[Group, str]
    noises: list[str]
    snrs: list[float]
    folds: list[str]
    seeds: list[int]

    @property
    def groups(self) -> list[Group]:
        """Systems in table order."""
        return list(self.rows)

    def select(self, group: Group, keep: Callable[[Result], bool]) -> list[Result]:
        """The results of one system that ``keep`` accepts."""
        return [row for row in self.rows.get(group, []) if keep(row)]

    def gaps(self, group: Group) -> str:
        """The expected folds, seeds, conditions and utterances a system lacks; empty if none."""
        rows = self.rows.get(group, [])
        if not rows:
            return f"0 of {count(len(self.folds), 'fold')}"
        folds, seeds = {row.fold for row in rows}, {row.seed for row in rows}
        runs = {(row.fold, row.seed) for row in rows}
        every = [row for others in self.rows.values() for row in others]
        conditions = {(row.noise, row.snr_db) for row in every}
        most: dict[tuple[object, ...], int] = {}
        for row in every:
            key = (row.fold, row.noise, row.snr_db)
            most[key] = max(row.n_utts, most.get(key, 0))
        short = sum(row.n_utts < most[row.fold, row.noise, row.snr_db] for row in rows)
        notes = [
            f"{have} of {count(expected, noun)}"
            for have, expected, noun in (
                (len(folds), len(self.folds), "fold"),
                (len(seeds), len(self.seeds), "seed"),
                (len(runs), len(folds) * len(seeds), "run"),
                (len(rows), len(runs) * len(conditions), "condition"),
            )
            if have < expected
        ]
        if short:
            notes.append(f"utterances missing in {count(short, 'condition')}")
        return ", ".join(notes)

    def runs(self, group: Group) -> str:
        """The folds and seeds of a complete system (``2 folds x 3 seeds``), else its gaps."""
        whole = f"{count(len(self.folds), 'fold')} x {count(len(self.seeds), 'seed')}"
        return self.gaps(group) or whole

    def title(self, group: Group) -> str:
        """The label of a system, with its gaps in brackets where it is not complete."""
        gaps = self.gaps(group)
        return f"{self.labels[group]} ({gaps})" if gaps else self.labels[group]


def count(number: int, noun: str) -> str:
    """``1 fold`` or ``2 folds``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def make_board(
    results: Iterable[Result],
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> Board:
    """Arrange results by system; ``folds`` and ``seeds`` expected besides those present."""
    rows: dict[Group, list[Result]] = defaultdict(list)
    for row in results:
        rows[row.system, row.frontend].append(row)
    order = sorted(rows, key=lambda group: (system_key(group[0]), group[1]))
    systems = [group[0] for group in order]
    labels = {}
    for system, frontend in order:
        name = SYSTEM_NAMES.get(system, system)
        several = systems.count(system) > 1
        labels[system, frontend] = f"{name} ({frontend or 'no front end'})" if several else name
    every = [row for group in order for row in rows[group]]
    return Board(
        rows={group: rows[group] for group in order},
        labels=labels,
        noises=sorted({row.noise for row in every if row.noise != "clean"}, key=noise_key),
        snrs=sorted({row.snr_db for row in every if row.snr_db is not None}),
        folds=sorted({row.fold for row in every} | set(folds or ()), key=natural_key),
        seeds=sorted({row.seed for row in every} | set(seeds or ())),
    )


def coefficients(
    predictions: Predictions,
) -> dict[Group, dict[tuple[str, float | None], Summary]]:
    """Mean and deviation of c over the utterances of all folds and seeds, per condition.

    Keyed by system, in table order, then by noise set and SNR in dB (None: clean). Systems
    without c are left out.
    """
    values: dict[Group, dict[tuple[str, float | None], list[float]]] = {}
    for row in predictions.rows:
        if row.c is not None:
            conditions = values.setdefault((row.system, row.frontend), {})
            conditions.setdefault((row.noise, row.snr_db), []).append(row.c)
    order = sorted(values, key=lambda group: (system_key(group[0]), group[1]))
    return {group: {key: mean_std(cs) for key, cs in values[group].items()} for group in order}
