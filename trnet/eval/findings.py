"""What a report finds, in sentences: who is best, whether by more than chance, and what the recipe notes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from trnet.eval.statistics import OURS, Statistics
from trnet.eval.summary import SYSTEM_NAMES, Results, coefficients, summarise
from trnet.utils.text import counted

LEVEL = 0.05
NOISE_LINE = re.compile(r"^noise (\S+): *(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Notes:
    """A recipe's notes: text, and what its noise sets are, e.g. ``synthetic, hums and clicks``."""

    text: str = ""
    noises: Mapping[str, str] = field(default_factory=dict)

    def label(self, noise: str) -> str:
        """A noise set with the first words of what it is: ``esc (synthetic)``."""
        return f"{noise} ({self.noises[noise].partition(',')[0]})" if noise in self.noises else noise


def parse_notes(text: str) -> Notes:
    """Notes from a file's text: lines ``noise NAME: KIND, more of it`` describe noise sets, the others are the note."""
    return Notes(" ".join(NOISE_LINE.sub("", text).split()), dict(NOISE_LINE.findall(text)))


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _where_above(tests: pd.DataFrame, winner: str, rival: str, p: str) -> list[str] | None:
    """The noise sets where the winner is above a rival by more than chance; None without a test."""
    direct = (tests["name"] == winner) & (tests["rival"] == rival)
    rows = tests[direct | (tests["name"] == rival) & (tests["rival"] == winner)]
    if rows.empty:
        return None
    above = rows["value"].where(rows["name"] == winner, -rows["value"]) > 0
    return rows["noise"][above & (rows[p] < LEVEL)].tolist()


def headline(results: Results, statistics: Statistics) -> str:
    """One sentence: which system has the largest mean UAR in noise, and above whom that is more than chance.

    Systems that lack runs are left out, unless all do. A lead is more than chance if the paired test over utterances
    says so (Holm's adjusted p below 0.05); the sentence adds whether the one over speakers does too.
    """
    sets = results.noises or ["clean"]
    uar = summarise(results.averaged, ["name", "noise"], "uar")["mean"].unstack()[sets]
    known = [name for name in results.names if name in uar.index and uar.loc[name].notna().all()]
    names = [name for name in known if not results.gaps(name)] or known or results.names
    mean = uar.mean(axis=1)[names].round(2)
    best = [name for name in names if mean[name] == mean.max()]
    what = "mean UAR in noise" if results.noises else "UAR on clean speech"
    of_sets = ", ".join(f"{uar[noise][best[0]]:.2f} on {noise}" for noise in sets)
    figures = f"{mean.max():.2f} %" + (f"; {of_sets}" if len(sets) > 1 and len(best) == 1 else "")
    if len(names) == 1:
        return f"{names[0]} has a {what} of {figures}; no other system was scored on all runs."
    if len(best) > 1:
        return f"No winner: {_listed(best)} share the largest {what} ({figures})."
    winner, tests = best[0], statistics.comparisons("speakers", "uar")
    tests = tests[tests["noise"].isin(sets)]
    rivals = [name for name in names if name != winner]
    found = {rival: _where_above(tests, winner, rival, "p_utts_holm") for rival in rivals}
    sure = [rival for rival, where in found.items() if where is not None and len(where) == len(sets)]
    partly = [f"{rival} on {_listed(where)} only" for rival, where in found.items() if where and rival not in sure]
    level = [rival for rival, where in found.items() if where == []]
    untested = [rival for rival, where in found.items() if where is None]
    lead = f"{winner} has the largest {what} ({figures})"
    if len(untested) == len(found):
        return f"No winner by the statistics: {lead}, but no paired test compares it with another system."
    parts = [f"more than chance above {_listed(sure + partly)}"] if sure or partly else []
    parts += [f"not more than chance above {_listed(level)}"] if level else []
    parts += [f"not tested against {_listed(untested) if len(untested) < 3 else 'the others'}"] if untested else []
    over = f"the utterances of {counted(int(tests['speakers'].iloc[0]), 'test speaker')}, Holm's p < {LEVEL}"
    if sure or partly:
        wider = {rival: _where_above(tests, winner, rival, "p_speakers_holm") for rival in rivals}
        same = all(wider[rival] == where for rival, where in found.items() if where)
        over += "; over speakers too" if same else "; not over speakers" if not any(wider.values()) else ""
    start = "" if sure or partly else "No winner by the statistics: "
    return f"{start}{lead}, {', '.join(parts)} (paired tests over {over})."


def make_findings(predictions: pd.DataFrame, results: Results, statistics: Statistics, notes: Notes) -> list[str]:
    """The findings of a report, a sentence or two each, the headline first."""
    found = [headline(results, statistics)]
    found += [notes.text] if notes.text else []
    found += [f"Noise set {noise} is {what}." for noise, what in notes.noises.items() if noise in results.noises]
    clean = summarise(results.rows[results.rows["noise"] == "clean"], ["name"], "uar")["mean"].round(2)
    if results.noises and len(clean) > 1:
        best = _listed([name for name in results.names if clean.get(name) == clean.max()])
        found.append(f"Largest UAR on clean speech: {best} ({clean.max():.2f} %).")
    c = coefficients(predictions)["mean"]
    names = c.index.unique("name")
    name = SYSTEM_NAMES[OURS] if SYSTEM_NAMES[OURS] in names else next(iter(names), "")
    if name and results.snrs and (name, "clean", "clean") in c.index:
        lowest = f"{results.snrs[0]:g} dB"
        values = [(noise, c.get((name, noise, f"{noise} {lowest}"))) for noise in results.noises]
        noisy = _listed([f"{value:.3f} on {noise}" for noise, value in values if value is not None])
        clean_c = c[name, "clean", "clean"]
        found += [f"Mean c of {name}: {clean_c:.3f} on clean speech; at {lowest} {noisy}."] if noisy else []
    peers = ", ".join(results.peers)
    found += [f"Not trained here, known only by their predictions: {peers}."] if peers else []
    gaps = [results.title(name) for name in results.names if results.gaps(name)]
    found += [f"Incomplete: {', '.join(gaps)}."] if gaps else []
    found += ["Some statistics could not be computed; the section on them says which."] if statistics.refused else []
    return found
