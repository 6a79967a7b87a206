"""How sure the scores are: intervals of each system, paired tests of one system against the others, statistics.csv."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
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
from trnet.eval.predictions import classes_of, is_peer, snr_text
from trnet.eval.score_matrix import ScoreMatrix, check_paired, make_score_matrix
from trnet.eval.summary import Titles, in_means, system_title, with_names
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.text import counted

OURS = "trnet"  # the system that the others are compared with
FEWEST = 100  # resamples or permutations that can give an interval or a p
COLUMNS = (
    *("system", "frontend", "against", "noise", "snr_db", "average", "metric", "speakers", "utts", "seeds"),
    *("value", "std", "low", "high", "resampled"),
    *("p_utts", "p_utts_holm", "p_speakers", "p_speakers_holm", "note"),
)
NUMBERS = ("snr_db", "value", "std", "low", "high", "p_utts", "p_utts_holm", "p_speakers", "p_speakers_holm")
Target = tuple[str, float, list[int]]
"""What is scored: a noise set, an SNR in dB (NaN: clean speech, or the mean over SNRs), columns of a score matrix."""


@dataclass(frozen=True)
class Statistics:
    """All rows of statistics.csv; what could not be computed, and why; how it was computed.

    A row is a score of one system, or (``against`` is set) its difference to another system, in percent. ``snr_db`` is
    NaN for clean speech and for the average over a noise set's SNRs, those that are only tested left out. ``average``
    and ``metric``: see trnet.eval.intervals. ``std`` is the standard deviation over seeds, ``low`` and ``high`` the
    ends of the 95 % interval, ``resampled`` what it resamples; the ``p`` are two-sided, ``_holm`` adjusted over all
    comparisons with the same metric and average, those with systems from elsewhere among themselves. What is
    impossible is NaN, and ``note`` says why. ``name`` and ``rival``, which the file does not have, are how tables call
    the systems.
    """

    rows: pd.DataFrame
    refused: tuple[str, ...]
    resamples: int
    permutations: int
    seed: int

    def own(self, average: str, metric: str) -> pd.DataFrame:
        """The scores of single systems."""
        return self._chosen(self.rows["against"] == "", average, metric)

    def comparisons(self, average: str, metric: str) -> pd.DataFrame:
        """The differences between two systems."""
        return self._chosen(self.rows["against"] != "", average, metric)

    def _chosen(self, rows: pd.Series, average: str, metric: str) -> pd.DataFrame:
        return self.rows[rows & (self.rows["average"] == average) & (self.rows["metric"] == metric)]


def _targets(
    matrix: ScoreMatrix, test_snrs: Collection[float], per_snr: bool, sizes: Mapping[str, int] | None = None
) -> list[Target]:
    """Clean speech, each noise set averaged over its SNRs but `test_snrs`, and (`per_snr`) each SNR of it.

    sizes: How many SNRs are averaged in a noise set; one of which the matrix has fewer has no average. None: any.
    """
    targets: list[Target] = []
    conditions = matrix.conditions
    for noise in conditions["noise"].unique():
        columns = np.flatnonzero(conditions["noise"] == noise).tolist()
        averaged = [column for column in columns if conditions["snr_db"].iloc[column] not in test_snrs]
        if averaged and (sizes is None or len(averaged) == sizes[noise]):
            targets.append((noise, np.nan, averaged))
        if per_snr and noise != "clean":
            targets += [(noise, float(conditions["snr_db"].iloc[column]), [column]) for column in columns]
    return targets


def _few_speakers(speakers: int) -> str:
    unit = resampled_unit(speakers)
    if unit is None:
        return "interval impossible: one test speaker"
    if unit == UTTERANCES:
        return f"utterances of these {speakers} speakers resampled: over speakers it takes {MIN_SPEAKERS}"
    return ""


def _rows(matrix: ScoreMatrix, targets: Sequence[Target], share: np.ndarray, resamples: int, seed: int) -> pd.DataFrame:
    """A row for each target, average and metric: value, deviation over seeds, interval. share: (U, seeds, K)."""
    speakers, (_, seeds, _) = len(matrix.names), share.shape
    score = partial(counts, labels=matrix.labels, speakers=matrix.speakers, classes=int(matrix.labels.max()) + 1)
    mean = share.mean(axis=1)
    numbers = {"value": scores(*score(mean))}
    if seeds > 1:
        numbers["std"] = np.std([scores(*score(share[:, i])) for i in range(seeds)], axis=0, ddof=1)
    if ends := bootstrap_interval(mean, matrix.labels, matrix.speakers, resamples=resamples, seed=seed):
        numbers["low"], numbers["high"] = ends
    keys = [(*target[:2], average, metric) for target in targets for average in AVERAGES for metric in METRICS]
    return pd.DataFrame(keys, columns=["noise", "snr_db", "average", "metric"]).assign(
        **{name: _flat(values) for name, values in numbers.items()},
        speakers=speakers,
        utts=len(matrix.items),
        seeds=seeds,
        resampled=resampled_unit(speakers),
        note=_few_speakers(speakers),
    )


def _flat(numbers: np.ndarray) -> np.ndarray:
    """Numbers (averages, metrics, K) in the order of `_rows`."""
    return np.moveaxis(numbers, 2, 0).ravel()


def _shares(matrix: ScoreMatrix, targets: Sequence[Target]) -> np.ndarray:
    return matrix.share_right(columns for *_, columns in targets)


def _compare(
    matrix: ScoreMatrix,
    against: ScoreMatrix,
    test_snrs: Collection[float],
    resamples: int,
    permutations: int,
    seed: int,
    sizes: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Rows of the difference between two systems, with p not yet adjusted.

    sizes: Given (see `_targets`) where `against` comes from elsewhere. Then the conditions are those that both have,
    and each system's answers are averaged over its own seeds first: nothing pairs the seeds of the two.
    """
    if sizes is not None:
        matrix, against = matrix.under(against.conditions["condition"]), against.under(matrix.conditions["condition"])
    check_paired(matrix, against, same_seeds=sizes is None)
    targets = _targets(matrix, test_snrs, per_snr=False, sizes=sizes)
    if not targets:
        raise TrnetError("both have neither clean speech nor a noise set at all its SNRs; predict the others too")
    one, other = _shares(matrix, targets), _shares(against, targets)
    if sizes is not None:
        one, other = one.mean(axis=1, keepdims=True), other.mean(axis=1, keepdims=True)
    share = one - other
    rows = _rows(matrix, targets, share, resamples, seed)
    if sizes is not None:
        runs = (
            f"means of {counted(len(matrix.seeds), 'seed')} and of {counted(len(against.seeds), 'run')} from elsewhere"
        )
        rows = rows.assign(seeds=len(matrix.seeds), note=[f"{note}; {runs}" if note else runs for note in rows["note"]])
    parts = difference_parts(share.mean(axis=1), matrix.labels, matrix.speakers)
    rows["p_utts"] = _flat(sign_flip_p(parts, resamples=permutations, seed=seed))
    if resampled_unit(len(matrix.names)) == SPEAKERS:
        of_speaker = parts @ np.eye(len(matrix.names))[matrix.speakers]
        rows["p_speakers"] = _flat(sign_flip_p(of_speaker, resamples=permutations, seed=seed))
    return rows


def _adjust(rows: pd.DataFrame) -> None:
    """Holm over the comparisons (systems x clean and noise sets) of the same system, average and metric.

    Those with systems from elsewhere are a family of their own: adding one changes no other p.
    """
    elsewhere = rows["against"].map(is_peer).astype(bool)
    for name in ("p_utts", "p_speakers"):
        there = rows[name].notna()
        families = rows[there].groupby(["system", "frontend", "average", "metric", elsewhere[there]])[name]
        for _, p in families:
            rows.loc[p.index, f"{name}_holm"] = holm(p.to_numpy())


def compute_statistics(
    predictions: pd.DataFrame,
    speakers: Mapping[str, str] | None = None,
    *,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
    ours: str = OURS,
    test_snrs: Collection[float] = (),
    titles: Titles | None = None,
) -> Statistics:
    """Intervals of every system and tests of `ours` against others with the same front end and those from elsewhere.

    A system whose seeds or conditions differ in utterances, and a pair of systems with different utterances, are left
    out, and ``refused`` names what is missing. Without `speakers` a fold is taken for one speaker.

    Args:
        predictions: Predictions of the systems.
        speakers: Test speaker of each utterance; without it a fold is taken for one speaker.
        resamples: Bootstrap samples.
        permutations: Random assignments of signs in a test.
        seed: Seed of both.
        ours: System that is compared with the others.
        test_snrs: SNRs in dB that are no part of a noise set's mean.
        titles: How systems from elsewhere are called.

    Raises:
        TrnetError: Too few resamples or permutations to give an interval or a p.
    """
    for name, number in (("resamples", resamples), ("permutations", permutations)):
        if number < FEWEST:
            raise TrnetError(f"--{name} {number}: give {FEWEST} or more")
    named = with_names(predictions, titles)
    averaged = in_means(named, test_snrs).groupby("noise")["snr_db"].nunique(dropna=False)
    sizes = {str(noise): int(number) for noise, number in averaged.items()}
    keys = ("system", "frontend", "name")
    names: list[dict[str, str]] = [dict(zip(keys, row, strict=True)) for row in named[[*keys]].drop_duplicates().values]
    rivals = [(a, b) for a in names if a["system"] == ours for b in names if b != a]
    pairs = [(a, b) for a, b in rivals if b["frontend"] == a["frontend"] or is_peer(b["system"])]
    rows: list[pd.DataFrame] = []
    refused: list[str] = []
    matrices: dict[str, ScoreMatrix] = {}
    with tqdm(total=len(names) + len(pairs), desc="statistics", unit="system") as bar:
        for one in names:
            try:
                mine = named[named["name"] == one["name"]]
                matrix = matrices[one["name"]] = make_score_matrix(mine, classes_of(predictions), speakers)
                targets = _targets(matrix, test_snrs, True, sizes if is_peer(one["system"]) else None)
                own = _rows(matrix, targets, _shares(matrix, targets), resamples, seed)
                rows.append(own.assign(**one, against="", rival=""))
            except TrnetError as error:
                refused.append(f"{one['name']}: no interval: {error}")
            bar.update()
        for one, other in pairs:
            if one["name"] in matrices and other["name"] in matrices:
                try:
                    both = matrices[one["name"]], matrices[other["name"]]
                    whole = sizes if is_peer(other["system"]) else None
                    found = _compare(*both, test_snrs, resamples, permutations, seed, whole)
                    rows.append(found.assign(**one, against=other["system"], rival=other["name"]))
                except TrnetError as error:
                    refused.append(f"{one['name']} (the first) against {other['name']} (the second): {error}")
            bar.update()
    if not pairs:
        refused.append(f"no comparison: it takes {system_title(ours)} and another system with the same front end")
    empty = pd.DataFrame(columns=[*COLUMNS, "name", "rival"])
    frame = (pd.concat(rows, ignore_index=True) if rows else empty).reindex(columns=empty.columns)
    frame = frame.astype(dict.fromkeys(NUMBERS, float))
    _adjust(frame)
    return Statistics(frame, tuple(refused), resamples, permutations, seed)


def explain(statistics: Statistics) -> str:
    """What the intervals are, for a report."""
    text = (
        f"95 % percentile bootstrap intervals ({statistics.resamples} resamples, seed {statistics.seed}) of the mean "
        "over test speakers, which is the mean over folds where each has one speaker. All seeds and conditions of a "
        f"speaker are drawn together. From {MIN_SPEAKERS} speakers on, speakers are resampled: with fewer, an interval "
        "over speakers cannot cover 95 % (at most 1 - 2^(1-S) with S speakers), so utterances within each speaker are, "
        "and the interval is about these speakers alone; with one speaker there is no interval."
    )
    unit = {None: "no interval", SPEAKERS: "speakers resampled", UTTERANCES: "utterances resampled"}
    for number in sorted(statistics.rows["speakers"].unique()):
        text += f" Here: {counted(number, 'test speaker')}, {unit[resampled_unit(number)]}."
    return text


def explain_tests(statistics: Statistics) -> str:
    """What the p-values are, for a report."""
    family = "all comparisons of this table"
    if statistics.rows["against"].map(is_peer).any():
        family = (
            "the comparisons of this table with systems that were trained here; those with predictions from elsewhere "
            "are adjusted among themselves, so that adding some changes no other p. They compare, utterance by "
            "utterance, the mean over the seeds of the one with the mean over the runs of the other"
        )
    return (
        "Difference in UAR on the same utterances, mean over test speakers, with its 95 % interval. Two-sided "
        f"sign-flip tests ({statistics.permutations} assignments of signs at most, seed {statistics.seed}): over "
        "utterances, stratified by speaker (are the two systems interchangeable on these speakers? Cautious where one "
        "is better in some classes and worse in others), and over speakers (would it "
        f"hold for others?), the latter from {MIN_SPEAKERS} speakers on, as fewer cannot give p < 0.05. An utterance's "
        f"seeds and SNRs keep together. Holm's adjustment is over {family}."
    )


def write_statistics(path: PathLike, statistics: Statistics) -> None:
    """Write statistics.csv, whole or not at all; what is impossible is an empty field with a note."""

    def texts(column: pd.Series) -> pd.Series:
        if column.name == "snr_db":
            return column.map(snr_text)
        if column.name not in NUMBERS:
            return column
        digits = 6 if str(column.name).startswith("p_") else 4
        return column.map(lambda value: "" if pd.isna(value) else f"{value:.{digits}f}")

    write_text(Path(path), statistics.rows[list(COLUMNS)].apply(texts).to_csv(index=False, lineterminator="\n"))
