"""What a report shows besides scores, from an experiment's folders: training, representations, noises, audio.

Each part that is not available is left out, and named with the reason.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import soundfile
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from trnet.audio.crop import read_cropped
from trnet.audio.reading import read_audio
from trnet.conditions import CLEAN, Condition
from trnet.eval.csv_files import read_checked_csv
from trnet.eval.predictions import classes_of, is_peer, natural_key
from trnet.eval.run_predictions import predict
from trnet.folds import Fold
from trnet.kaldi.data_dir import DataDir
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.train.session import Session
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real
from trnet.utils.random import rng_for

EMBEDDED = ("baseline_c", "baseline_e", "trnet")  # the systems of the paper's Fig. 3
MOST_POINTS = 400  # of an embedding
FEWEST_POINTS = 8
CLIPS = 12  # utterances to listen to
MOST_AUDIO = 6_000_000  # bytes of audio in a report
HISTORY = ("epoch", "lr", "loss", "task", "low", "high", "valid_uar")
ExampleItem = tuple[str, str, float]  # utterance, noise set, SNR in dB
_T = TypeVar("_T")


@dataclass(frozen=True)
class TrainingCurve:
    """A run's training: epochs from 1 on, mean training loss, validation UAR in percent."""

    system: str
    loss: tuple[float, ...]
    valid_uar: tuple[float, ...]


@dataclass(frozen=True)
class Embedding:
    """t-SNE of the representations h of a system's test items: points (N, 2), SNR in dB (None: clean), class."""

    system: str
    fold: str
    seed: int
    points: np.ndarray
    snrs: tuple[float | None, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class NoiseUse:
    """What a noise set is made of, and which speakers it is mixed with.

    groups: a row a group (session): group, utts, clips, sources (recordings).
    shared_sources: recordings that serve more than one group; there must be none.
    """

    name: str
    in_training: bool
    sources: int
    clips: int
    minutes: float
    used_clips: int
    snrs: tuple[float, ...]
    groups: pd.DataFrame
    shared_sources: int


@dataclass(frozen=True)
class AudioExample:
    """An utterance to listen to: FLAC of clean, noisy and enhanced speech, what is missing, and the predictions."""

    utt: str
    text: str
    label: str
    noise: str
    snr_db: float
    audio: dict[str, bytes]
    missing: tuple[str, ...]
    predictions: list[dict[str, Any]]


@dataclass(frozen=True)
class ReportData:
    """All of it."""

    curves: list[TrainingCurve] = field(default_factory=list)
    embeddings: list[Embedding] = field(default_factory=list)
    noises: list[NoiseUse] = field(default_factory=list)
    examples: list[AudioExample] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_curve(folder: Path, system: str) -> TrainingCurve:
    """The history.csv of a run's folder; TrnetError if it is missing or malformed."""
    rows = read_checked_csv(folder / "history.csv", dict.fromkeys(HISTORY, str) | {"loss": real, "valid_uar": real})
    return TrainingCurve(system, tuple(rows["loss"]), tuple(rows["valid_uar"]))


def tsne(h: np.ndarray, seed: int) -> np.ndarray:
    """Points (N, 2) of representations (N, D).

    With one thread: of so few points several are slower (they wait for each other), and give other last digits, which
    t-SNE blows up.
    """
    from sklearn.manifold import TSNE  # here, because it takes seconds to import

    perplexity = min(30.0, (len(h) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", max_iter=600, random_state=seed, n_jobs=1).fit_transform(h)


def embedded_items(fold: Fold, conditions: Sequence[Condition], seed: int) -> list[tuple[str, Condition]]:
    """At most MOST_POINTS test items of a fold, the same number under each condition, drawn by `seed`."""
    each = max(1, MOST_POINTS // len(conditions))
    items = []
    for condition in conditions:
        utts = sorted(fold.test)
        rng_for(seed, "map", fold.test_speaker, condition.name).shuffle(utts)
        items += [(utt, condition) for utt in sorted(utts[:each])]
    return items


def make_embedding(session: Session, run: RunSpec, conditions: Sequence[Condition], seed: int) -> Embedding:
    """The representations of one run's test speaker in the plane.

    Raises:
        TrnetError: For fewer than 8 items.
    """
    items = embedded_items(run.fold, conditions, seed)
    if len(items) < FEWEST_POINTS:
        raise TrnetError(f"{len(items)} test items, at least {FEWEST_POINTS} are needed; score more utterances")
    found = predict(session, run, items, with_h=True)
    emotion = session.experiment.data["utt2emo"]
    return Embedding(
        system=run.system,
        fold=str(run.fold.number),
        seed=run.seed,
        points=tsne(np.stack([np.asarray(found[item].h) for item in items]), seed),
        snrs=tuple(condition.snr_db for _, condition in items),
        labels=tuple(emotion[utt] for utt, _ in items),
    )


def summarise_noise(corpus: DataDir, noise: str, snrs: Sequence[float], train_noise: str) -> NoiseUse:
    """Sources, clips and groups of a noise set, from its data dir and those of the noisy speech; else TrnetError."""
    clips = DataDir(corpus.path.parent / f"noise_{noise}")
    source = clips["utt2src"]
    sets = [DataDir(corpus.path.parent / Condition(noise, snr).data_name(corpus.path.name)) for snr in snrs]
    rows = [
        (noisy["utt2group"][utt], noisy["utt2clean"][utt], clip, source.get(clip, clip), float(noisy["utt2snr"][utt]))
        for noisy in sets
        for utt, clip in ((utt, use.split()[0]) for utt, use in noisy["utt2noise"].items())
    ]
    used = pd.DataFrame(rows, columns=["group", "utts", "clips", "sources", "snr"])
    groups = used.groupby("group")[["utts", "clips", "sources"]].nunique().reset_index()
    return NoiseUse(
        name=noise,
        in_training=noise == train_noise,
        sources=len(set(source.values())),
        clips=len(source),
        minutes=sum(map(float, clips["utt2dur"].values())) / 60,
        used_clips=used["clips"].nunique(),
        snrs=tuple(sorted(used["snr"].unique())),
        groups=groups.sort_values("group", key=lambda names: names.map(natural_key), ignore_index=True),
        shared_sources=int((used.groupby("sources")["group"].nunique() > 1).sum()),
    )


def choose_examples(predictions: pd.DataFrame, seed: int, most: int = CLIPS) -> list[ExampleItem]:
    """Utterances to listen to, spread over classes, SNRs and noise sets; drawn by `seed`."""
    noisy = predictions[predictions["noise"] != "clean"]
    systems = noisy.groupby(["utt_id", "noise", "snr_db"])["system"].nunique()
    label: dict[str, str] = dict(zip(noisy["utt_id"], noisy["label"], strict=True))
    items: list[ExampleItem] = sorted(systems.index[systems == systems.max()])
    rng_for(seed, "listening").shuffle(items)
    noises, snrs = sorted({noise for _, noise, _ in items}), sorted({snr for *_, snr in items})
    classes = [c for c in classes_of(predictions) if any(label[utt] == c for utt, *_ in items)]
    chosen: list[ExampleItem] = []
    for i in range(min(most, len(items))):
        lap, step = divmod(i, len(classes))
        wanted = (classes[step], noises[lap % len(noises)], snrs[(step + lap) % len(snrs)])
        new = {utt for utt, *_ in chosen}

        def distance(item: ExampleItem, wanted: ExampleItem = wanted, new: set[str] = new) -> tuple[bool, ...]:
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
    features, name = experiment.config.features, condition.data_name(experiment.dataset.corpus)
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


def gather_examples(experiment: Experiment, predictions: pd.DataFrame, seed: int) -> tuple[list[AudioExample], str]:
    """The utterances to listen to, and how many were left out, if any."""
    items = choose_examples(predictions[~predictions["system"].map(is_peer).astype(bool)], seed)
    texts = experiment.data["text"] if experiment.data.has("text") else {}
    examples: list[AudioExample] = []
    size = 0
    for utt, noise, snr in tqdm(items, desc="audio", unit="utt"):
        audio, missing = _audio(experiment, utt, Condition(noise, snr))
        size += sum(map(len, audio.values()))
        if size > MOST_AUDIO:
            return (
                examples,
                f"audio: {len(items) - len(examples)} of {len(items)} utterances would make the page too large",
            )
        of_item = (predictions["utt_id"] == utt) & (predictions["noise"] == noise) & (predictions["snr_db"] == snr)
        rows = predictions[of_item]
        lowest: pd.Series = rows.groupby("system")["seed"].transform("min")
        first = rows[rows["seed"] == lowest]
        label = str(first["label"].iloc[0])
        records = [{str(column): value for column, value in row.items()} for row in first.to_dict("records")]
        examples.append(AudioExample(utt, texts.get(utt, ""), label, noise, snr, audio, missing, records))
    return examples, ""


def gather_report_data(
    session: Session, runs: Sequence[RunSpec], predictions: pd.DataFrame, conditions: Sequence[Condition], seed: int = 0
) -> ReportData:
    """All that the report of an experiment shows besides scores; `seed` chooses utterances and is for embeddings."""
    data, experiment = ReportData(), session.experiment

    def attempt(what: str, make: Callable[[], _T], into: list[_T]) -> None:
        try:
            into.append(make())
        except TrnetError as error:
            data.missing.append(f"{what}: {error}")

    for run in runs:
        attempt(f"training curve of {run.title}", partial(read_curve, run.folder, run.system), data.curves)
    first = {run.system: run for run in reversed(runs)}
    shown = [first[name] for name in EMBEDDED if name in first]
    for run in tqdm(shown, desc="t-SNE", unit="system", disable=not shown):
        make = partial(make_embedding, session, run, [CLEAN, *conditions], seed)
        attempt(f"representations of {run.title}", make, data.embeddings)
    train_noise = experiment.config.simulation.train_noise
    for noise in dict.fromkeys(condition.noise for condition in conditions if condition.noise is not None):
        snrs = [c.snr_db for c in conditions if c.noise == noise and c.snr_db is not None]
        attempt(f"noise set {noise}", partial(summarise_noise, experiment.data, noise, snrs, train_noise), data.noises)
    examples, left_out = gather_examples(experiment, predictions, seed)
    data.examples.extend(examples)
    data.missing.extend([left_out] if left_out else [])
    return data
