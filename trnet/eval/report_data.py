"""What a report shows besides scores, from an experiment's folders: training, representations, noises, audio.

Each part that cannot be had is left out, and named with the reason.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from trnet.audio.crop import read_cropped
from trnet.audio.reading import read_audio
from trnet.conditions import CLEAN, Condition
from trnet.eval.csv_files import number, read_rows
from trnet.eval.predictions import Prediction, Predictions, natural_key
from trnet.eval.run_predictions import answers_of
from trnet.folds import Fold
from trnet.kaldi.data_dir import DataDir
from trnet.noise.assign import rng_for
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError

MAPPED = ("baseline_c", "baseline_e", "trnet")  # the systems of the paper's Fig. 3
MOST_POINTS = 400  # of a map
LISTENED = 12  # utterances
MOST_AUDIO = 6_000_000  # bytes of audio in a report
_T = TypeVar("_T")


@dataclass(frozen=True)
class History:
    """A run's training: epochs from 1 on, mean training loss, validation UAR in percent."""

    system: str
    fold: str
    seed: int
    loss: tuple[float, ...]
    valid_uar: tuple[float, ...]


@dataclass(frozen=True)
class Map:
    """t-SNE of the representations h of a system's test items: points (N, 2), SNR in dB (None: clean), class."""

    system: str
    fold: str
    seed: int
    points: np.ndarray
    snrs: tuple[float | None, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class NoiseUse:
    """Utterances, noise clips and source recordings of one group (session)."""

    group: str
    utts: int
    clips: int
    sources: int


@dataclass(frozen=True)
class NoiseSummary:
    """What a noise set is made of and who hears what of it."""

    name: str
    heard_in_training: bool
    sources: int
    clips: int
    minutes: float
    used_clips: int
    snrs: tuple[float, ...]
    groups: tuple[NoiseUse, ...]
    shared_sources: int  # that serve more than one group: there must be none


@dataclass(frozen=True)
class Listening:
    """An utterance to listen to: its audio as FLAC, what is missing of it, and what each system said."""

    utt: str
    text: str
    label: str
    noise: str
    snr_db: float
    audio: dict[str, bytes]  # clean, noisy, enhanced
    missing: tuple[str, ...]
    answers: tuple[Prediction, ...]


@dataclass(frozen=True)
class Material:
    """All of it."""

    histories: list[History] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    noises: list[NoiseSummary] = field(default_factory=list)
    listening: list[Listening] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_history(folder: Path, system: str, fold: str, seed: int) -> History:
    """The history.csv of a run's folder.

    Raises: TrnetError if it is missing or malformed.
    """
    columns = ("epoch", "lr", "loss", "task", "low", "high", "valid_uar")

    def parse(values: list[str], _extra: tuple[str, ...]) -> tuple[float, float]:
        return number("loss", values[2]), number("valid_uar", values[6])

    rows = [row for _, row in read_rows(folder / "history.csv", columns, parse)[1]]
    return History(system, fold, seed, *map(tuple, zip(*rows, strict=True)))


def tsne(h: np.ndarray, seed: int) -> np.ndarray:
    """Points (N, 2) of representations (N, D).

    With one thread: of so few points several are slower (they wait for each other), and give other last digits, which
    t-SNE blows up.
    """
    from sklearn.manifold import TSNE  # here, because it takes seconds to import

    perplexity = min(30.0, (len(h) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", max_iter=600, random_state=seed, n_jobs=1).fit_transform(h)


def map_items(fold: Fold, conditions: Sequence[Condition], seed: int) -> list[tuple[str, Condition]]:
    """At most MOST_POINTS test items of a fold, the same number under each condition, drawn by `seed`."""
    each = max(1, MOST_POINTS // len(conditions))
    items = []
    for condition in conditions:
        utts = sorted(fold.test)
        rng_for(seed, "map", fold.test_speaker, condition.name).shuffle(utts)
        items += [(utt, condition) for utt in sorted(utts[:each])]
    return items


def make_map(
    experiment: Experiment, name: str, fold: Fold, run_seed: int, conditions: Sequence[Condition], seed: int
) -> Map:
    """The map of one run's representations of its test speaker.

    Raises: TrnetError if the run or features are missing, or there are fewer than 8 items.
    """
    items = map_items(fold, conditions, seed)
    if len(items) < 8:
        raise TrnetError(f"{len(items)} test items are too few for a map; score more utterances")
    answers = answers_of(experiment, name, fold, run_seed, items, with_h=True)
    return Map(
        system=name,
        fold=str(fold.number),
        seed=run_seed,
        points=tsne(np.stack([answers[item].h for item in items]), seed),
        snrs=tuple(condition.snr_db for _, condition in items),
        labels=tuple(experiment.data["utt2emo"][utt] for utt, _ in items),
    )


def summarise_noise(corpus: DataDir, noise: str, snrs: Sequence[float], train_noise: str) -> NoiseSummary:
    """Sources, clips and groups of a noise set, from its data dir and those of the noisy speech.

    Raises: TrnetError if one of them is missing.
    """
    clips = DataDir(corpus.path.parent / f"noise_{noise}")
    source = clips["utt2src"]
    sets = [DataDir(corpus.path.parent / Condition(noise, snr).data_name(corpus.path.name)) for snr in snrs]
    of_group: dict[str, tuple[set[str], set[str], set[str]]] = {}
    for noisy in sets:
        for utt, use in noisy["utt2noise"].items():
            utts, used, sources = of_group.setdefault(noisy["utt2group"][utt], (set(), set(), set()))
            clip = use.split()[0]
            utts.add(noisy["utt2clean"][utt])
            used.add(clip)
            sources.add(source.get(clip, clip))
    groups = [NoiseUse(g, *map(len, of_group[g])) for g in sorted(of_group, key=natural_key)]
    everywhere = [s for _, _, sources in of_group.values() for s in sources]
    return NoiseSummary(
        name=noise,
        heard_in_training=noise == train_noise,
        sources=len(set(source.values())),
        clips=len(source),
        minutes=sum(map(float, clips["utt2dur"].values())) / 60,
        used_clips=len(set().union(*(used for _, used, _ in of_group.values()))),
        snrs=tuple(sorted({float(snr) for noisy in sets for snr in noisy["utt2snr"].values()})),
        groups=tuple(groups),
        shared_sources=sum(everywhere.count(s) > 1 for s in set(everywhere)),
    )


def choose_listening(predictions: Predictions, seed: int, most: int = LISTENED) -> list[tuple[str, str, float]]:
    """(utterance, noise set, SNR) to listen to, spread over classes, SNRs and noise sets; drawn by `seed`."""
    answered: dict[tuple[str, str, float], set[str]] = {}
    label = {}
    for row in predictions.rows:
        if row.snr_db is not None:
            answered.setdefault((row.utt_id, row.noise, row.snr_db), set()).add(row.system)
            label[row.utt_id] = row.label
    everyone = max(map(len, answered.values()), default=0)
    items = sorted(item for item, systems in answered.items() if len(systems) == everyone)
    rng_for(seed, "listening").shuffle(items)
    noises, snrs = sorted({noise for _, noise, _ in items}), sorted({snr for *_, snr in items})
    classes = [c for c in predictions.classes if any(label[utt] == c for utt, *_ in items)]
    chosen: list[tuple[str, str, float]] = []
    for i in range(min(most, len(items))):
        lap, step = divmod(i, len(classes))
        wanted = (classes[step], noises[lap % len(noises)], snrs[(step + lap) % len(snrs)])
        new = {utt for utt, *_ in chosen}

        def distance(item: tuple[str, str, float], wanted=wanted, new=new) -> tuple[bool, ...]:
            utt, noise, snr = item
            return (label[utt] != wanted[0], utt in new, snr != wanted[2], noise != wanted[1])

        chosen.append(min((item for item in items if item not in chosen), key=distance))
    return sorted(chosen, key=lambda item: (classes.index(label[item[0]]), item[2], item))


def flac(samples: np.ndarray, rate: int) -> bytes:
    """Samples (n,) in [-1, 1] as 16-bit FLAC."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()


def _audio(experiment: Experiment, utt: str, condition: Condition) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """FLAC of clean, noisy and enhanced speech, scaled together where one of them passes full scale."""
    features, name = experiment.config.features, condition.data_name(experiment.corpus)
    enhanced = experiment.dump / experiment.config.frontend_name / name
    noisy_utt = condition.utt(utt)

    def of(folder: Path) -> np.ndarray:
        return read_audio(DataDir(folder).clip(noisy_utt).path, features.sample_rate)

    readers: dict[str, Callable[[], np.ndarray]] = {
        "clean": lambda: read_cropped(experiment.data.clip(utt), features),
        "noisy": lambda: of(experiment.data.path.parent / name),
        "enhanced": lambda: of(enhanced),
    }
    samples, missing = {}, []
    for kind, read in readers.items():
        try:
            samples[kind] = read()
        except TrnetError as error:
            missing.append(f"{kind}: {error}")
    peak = max((float(np.abs(x).max()) for x in samples.values()), default=1.0)
    gain = min(1.0, 0.99 / max(peak, 1e-9))
    return {kind: flac(gain * x, features.sample_rate) for kind, x in samples.items()}, tuple(missing)


def gather_listening(experiment: Experiment, predictions: Predictions, seed: int) -> tuple[list[Listening], str]:
    """The utterances to listen to, and what of them was left out."""
    items = choose_listening(predictions, seed)
    answers: dict[tuple[str, str, float], list[Prediction]] = {item: [] for item in items}
    for row in sorted(predictions.rows, key=lambda row: row.seed):
        said = answers.get((row.utt_id, row.noise, row.snr_db))
        if said is not None and (not said or said[0].seed == row.seed):
            said.append(row)
    text = experiment.data["text"] if experiment.data.has("text") else {}
    found, size = [], 0
    for utt, noise, snr in tqdm(items, desc="audio", unit="utt"):
        audio, missing = _audio(experiment, utt, Condition(noise, snr))
        size += sum(map(len, audio.values()))
        if size > MOST_AUDIO:
            return found, f"audio: {len(items) - len(found)} of {len(items)} utterances would make this file too large"
        label = answers[utt, noise, snr][0].label
        said = tuple(answers[utt, noise, snr])
        found.append(Listening(utt, text.get(utt, ""), label, noise, snr, audio, missing, said))
    return found, ""


def gather(
    experiment: Experiment,
    runs: Sequence[tuple[str, Fold, int]],
    predictions: Predictions,
    conditions: Sequence[Condition],
    seed: int = 0,
) -> Material:
    """All material of an experiment's report.

    Args:
        experiment: The experiment.
        runs: System, fold and seed of the runs that were scored.
        predictions: Their predictions.
        conditions: The noisy conditions.
        seed: Seed of the maps and of the choice of utterances.
    """
    material = Material()

    def attempt(what: str, make: Callable[[], _T], into: list[_T]) -> None:
        try:
            into.append(make())
        except TrnetError as error:
            material.missing.append(f"{what}: {error}")

    for name, fold, run_seed in runs:
        folder = experiment.run_folder(name, fold, run_seed)
        what = f"training curve of {name}, fold {fold.number}, seed {run_seed}"
        place = (name, str(fold.number), run_seed)
        attempt(what, lambda f=folder, p=place: read_history(f, *p), material.histories)
    mapped = {name: (fold, run_seed) for name, fold, run_seed in reversed(runs) if name in MAPPED}
    for name in tqdm([name for name in MAPPED if name in mapped], desc="t-SNE", unit="system", disable=not mapped):
        place = (name, *mapped[name], [CLEAN, *conditions], seed)
        attempt(f"map of {name}", lambda p=place: make_map(experiment, *p), material.maps)
    simulation = experiment.config.simulation
    for noise in dict.fromkeys(condition.noise for condition in conditions):
        assert noise is not None
        snrs = [c.snr_db for c in conditions if c.noise == noise and c.snr_db is not None]
        place = (experiment.data, noise, snrs, simulation.train_noise)
        attempt(f"noise set {noise}", lambda p=place: summarise_noise(*p), material.noises)
    found, left_out = gather_listening(experiment, predictions, seed)
    material.listening.extend(found)
    material.missing.extend([left_out] if left_out else [])
    return material
