"""Scores of several systems: averages over SNRs, folds and seeds, and which runs are missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from trnet.eval.predictions import PEER, in_order, is_peer, natural_key, noise_key, with_conditions
from trnet.utils.text import counted

SYSTEM_NAMES = {
    "baseline_c": "Baseline-c",
    "baseline_n": "Baseline-n",
    "baseline_e": "Baseline-e",
    "trnet": "TRNet",
    "trnet_wo_low": "TRNet w/o L_low",
    "trnet_wo_high": "TRNet w/o L_high",
}
ELSEWHERE = "predictions from elsewhere"  # what tables and figures call a system that was not trained here
Titles = Mapping[str, str]
"""How systems from elsewhere are called, by their name in predictions.csv."""


def system_title(system: str, titles: Titles | None = None) -> str:
    """The paper's name of a system, else its own; one from elsewhere has its title and is marked."""
    if is_peer(system):
        return f"{(titles or {}).get(system, system.removeprefix(PEER))} ({ELSEWHERE})"
    return SYSTEM_NAMES.get(system, system)


def with_names(frame: pd.DataFrame, titles: Titles | None = None) -> pd.DataFrame:
    """The frame in table order, with a column ``name``: its title, and the front end where a system has several."""
    frame = in_order(frame, ["system", "frontend"])
    several = frame.groupby("system")["frontend"].transform("nunique") > 1
    names = frame["system"].map(lambda system: system_title(system, titles))
    frontends = frame["frontend"].where(frame["frontend"] != "", "no front end")
    return frame.assign(name=names.where(~several, names + " (" + frontends + ")"))


def summarise(results: pd.DataFrame, by: Sequence[str], metric: str) -> pd.DataFrame:
    """Columns mean and std of ``uar`` or ``war`` in percent, with a row for each value of the columns `by`.

    Within one seed the conditions (SNRs) of a fold are averaged first, then the folds. The mean is over seeds. The
    sample standard deviation over seeds is NaN for one seed, and where the seeds do not cover the same folds,
    conditions and numbers of utterances, since it would then mix other differences in.
    """
    keys, runs = list(by), list(dict.fromkeys([*by, "seed", "fold"]))
    of_seeds = results.groupby(runs)[metric].mean().groupby([*keys, "seed"]).mean().groupby(keys)
    covered = pd.Series(
        list(zip(results["fold"], results["condition"], results["n_utts"], strict=True)), index=results.index
    )
    sets = covered.groupby([results[key] for key in (*keys, "seed")]).agg(frozenset)
    same = sets.groupby(keys).nunique() == 1
    return pd.DataFrame({"mean": of_seeds.mean(), "std": of_seeds.std().where(same)})


@dataclass(frozen=True)
class Results:
    """Rows of results.csv with the columns ``name`` and ``condition``, and what a complete table has.

    names: The systems in table order. folds, seeds: Those of all systems that were trained here, and those expected
    besides. test_snrs: SNRs in dB that are no part of means over SNRs. titles: Of systems from elsewhere.
    """

    rows: pd.DataFrame
    names: list[str]
    noises: list[str]
    snrs: list[float]
    folds: list[str]
    seeds: list[int]
    test_snrs: frozenset[float] = frozenset()
    titles: Titles = field(default_factory=dict)

    @property
    def averaged(self) -> pd.DataFrame:
        """The rows that means over SNRs are of; a system from elsewhere has none of a noise set that it has in part."""
        rows = in_means(self.rows, self.test_snrs)
        every = rows.groupby("noise")["condition"].nunique()
        own = rows.groupby(["name", "noise"])["condition"].transform("nunique")
        return rows[~rows["system"].map(is_peer).astype(bool) | (own == rows["noise"].map(every))]

    @property
    def peers(self) -> list[str]:
        """The names of systems from elsewhere."""
        return [name for name in self.names if self.rows["system"][self.rows["name"] == name].map(is_peer).any()]

    def lacks_noises(self, name: str) -> bool:
        """Whether a system from elsewhere has no mean over all noise sets."""
        rows = self.averaged
        return name in self.peers and not set(rows["noise"]) - {"clean"} <= set(rows["noise"][rows["name"] == name])

    @property
    def snr_columns(self) -> list[str]:
        """What an SNR axis shows: ``0 dB`` ... ``clean``."""
        return [*(f"{snr:g} dB" for snr in self.snrs), "clean"]

    def per_snr(self, noise: str) -> pd.DataFrame:
        """Mean UAR (and std, see `summarise`) by name and SNR, ``0 dB`` ... ``clean``, in one noise set."""
        rows = self.rows[self.rows["noise"].isin([noise, "clean"])]
        return summarise(rows.assign(snr=rows["condition"].str.removeprefix(f"{noise} ")), ["name", "snr"], "uar")

    def gaps(self, name: str) -> str:
        """The folds, seeds, conditions and utterances that a system lacks; empty if none.

        A system from elsewhere has the seeds that it has.
        """
        every = self.rows
        rows = every[every["name"] == name]
        if rows.empty:
            return f"0 of {counted(len(self.folds), 'fold')}"
        folds, seeds, runs = (
            rows["fold"].nunique(),
            rows["seed"].nunique(),
            len(rows[["fold", "seed"]].drop_duplicates()),
        )
        if name in self.peers:
            pairs = (
                (folds, len(self.folds), "fold"),
                (rows["condition"].nunique(), every["condition"].nunique(), "condition"),
            )
            return ", ".join(f"{have} of {counted(most, noun)}" for have, most, noun in pairs if have < most)
        most = every.groupby(["fold", "condition"])["n_utts"].transform("max")
        short = int((every["n_utts"] < most)[rows.index].sum())
        notes = [
            f"{have} of {counted(expected, noun)}"
            for have, expected, noun in (
                (folds, len(self.folds), "fold"),
                (seeds, len(self.seeds), "seed"),
                (runs, folds * seeds, "run"),
                (len(rows), runs * every["condition"].nunique(), "condition"),
            )
            if have < expected
        ]
        return ", ".join(notes + ([f"utterances missing in {counted(short, 'condition')}"] if short else []))

    def runs(self, name: str) -> str:
        """The folds and seeds of a complete system (``2 folds x 3 seeds``), else its gaps.

        Those of a system from elsewhere, whose runs need not have the others' seeds: ``2 folds x 1 run``.
        """
        if name in self.peers:
            rows = self.rows[self.rows["name"] == name]
            runs = f"{counted(rows['fold'].nunique(), 'fold')} x {counted(rows['seed'].nunique(), 'run')}"
            return ", ".join(part for part in (runs, self.gaps(name)) if part)
        return self.gaps(name) or f"{counted(len(self.folds), 'fold')} x {counted(len(self.seeds), 'seed')}"

    def title(self, name: str) -> str:
        """The name of a system, with its gaps in brackets where it is not complete."""
        gaps = self.gaps(name)
        return f"{name} ({gaps})" if gaps else name


def in_means(rows: pd.DataFrame, test_snrs: Collection[float]) -> pd.DataFrame:
    """The rows that means over SNRs are of: all but those of `test_snrs`, which are only tested."""
    return rows[~rows["snr_db"].isin(list(test_snrs))]


def arrange(
    results: pd.DataFrame,
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    test_snrs: Collection[float] = (),
    titles: Titles | None = None,
) -> Results:
    """Arrange results by system; ``folds`` and ``seeds`` are expected besides those present."""
    rows = with_names(with_conditions(results), titles)
    trained = rows[~rows["system"].map(is_peer).astype(bool)]
    return Results(
        rows=rows,
        names=list(rows["name"].unique()),
        noises=sorted(set(rows["noise"]) - {"clean"}, key=noise_key),
        snrs=sorted(rows["snr_db"].dropna().unique()),
        folds=sorted({*trained["fold"], *(folds or ())}, key=natural_key),
        seeds=sorted({*trained["seed"], *(seeds or ())}),
        test_snrs=frozenset(test_snrs) & {*rows["snr_db"].dropna()},
        titles=dict(titles or {}),
    )


def coefficients(predictions: pd.DataFrame) -> pd.DataFrame:
    """Mean and std of c over the utterances of all folds and seeds, by name, noise set and condition."""
    rows = with_names(with_conditions(predictions.dropna(subset="c")))
    return rows.groupby(["name", "noise", "condition"], sort=False)["c"].agg(["mean", "std"])
