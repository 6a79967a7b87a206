"""Temperature scaling: one scalar that makes probabilities mean what they say, found on validation speakers.

Probabilities are softmax(logits / T), which leaves the likeliest class as it is. T minimises the negative
log-likelihood (NLL) of validation speakers, as in Guo, Pleiss, Sun and Weinberger, *On Calibration of Modern Neural
Networks* (ICML 2017), Section 4.2. How far probabilities are from the truth is the expected calibration error (ECE) of
Naeini, Cooper and Hauskrecht, *Obtaining Well Calibrated Probabilities Using Bayesian Binning* (AAAI 2015), with Guo's
15 bins of equal width.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from trnet.config import Section
from trnet.eval.predictions import classes_of
from trnet.eval.run_predictions import predict
from trnet.runs.spec import RunSpec
from trnet.train.session import Session
from trnet.utils.errors import TrnetError

LIMITS = (0.05, 20.0)  # of T
BINS = 15
SMALLEST = 1e-30  # probability: its logarithm is finite
DIGITS = 6  # that are kept


class Calibration(Section):
    """A temperature, what it was found on, and what it does there.

    system: whose. speakers: who validated. folds, seeds: of the runs. conditions: of the speech. items: how many
    predictions. nll, ece: before and after, in nats and in percent; the latter with the temperature of the other folds
    (`crossed`: there are some), so that no speaker is scored with what was found on the same speaker.
    """

    system: str
    temperature: Annotated[float, Field(ge=LIMITS[0], le=LIMITS[1])]
    speakers: list[str]
    folds: list[int]
    seeds: list[int]
    conditions: list[str]
    items: int
    bins: int
    crossed: bool
    nll: list[float]
    ece: list[float]


def scaled(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) at another temperature than 1: softmax(logits / T), from the probabilities alone."""
    logits = np.log(np.maximum(probs, SMALLEST)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def nll(probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats, of labels (N,) under probabilities (N, C)."""
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], SMALLEST)).mean())


def fit_temperature(probs: np.ndarray, labels: np.ndarray) -> float:
    """The temperature within LIMITS that minimises `nll`, which is convex in 1 / T."""
    low, high = np.log(LIMITS)
    from scipy.optimize import minimize_scalar  # here, because it takes a second

    found = minimize_scalar(
        lambda x: nll(scaled(probs, float(np.exp(x))), labels),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.clip(np.exp(found.x), *LIMITS))


def expected_calibration_error(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """ECE in percent: the mean of abs(accuracy - confidence) over bins, each weighted by the items in it.

    Args:
        probs: (N, C); an item's confidence is its largest probability.
        labels: Class indices (N,).
        bins: Of equal width, ((m - 1) / bins, m / bins].
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    member = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(member, right - confidence, bins)  # of a bin: its items times (accuracy - confidence)
    return float(100 * np.abs(gap).sum() / len(labels))


def calibrate(session: Session, runs: Sequence[RunSpec], bins: int = BINS) -> Calibration:
    """The temperature of finished runs of one system, each on its own validation speakers under all conditions of
    training.

    Raises:
        TrnetError: If a run is not trained to its end, nobody validates, or features are missing.
    """
    experiment = session.experiment
    system = runs[0].system
    if not experiment.config.folds.hold_out:
        raise TrnetError("folds.kind all: nobody validates; calibrate the runs of folds that hold speakers out")
    if absent := [run for run in runs if experiment.finished(run) is None]:
        raise TrnetError(
            f"{absent[0].folder}: not trained (to the end, with this configuration), as {len(absent)} of {len(runs)} "
            "runs; run stages 5 and 6"
        )
    conditions, labels, speaker = experiment.conditions(system), experiment.dataset.labels, experiment.data["utt2spk"]
    rows, truth, folds = [], [], []
    for run in tqdm(runs, desc="validation speakers", unit="run"):
        items = [(utt, condition) for condition in conditions for utt in run.fold.valid]
        found = predict(session, run, items)
        rows += [found[item].probs for item in items]
        truth += [labels[utt] for utt, _ in items]
        folds += [run.fold.number] * len(items)
    probs, right, fold = np.stack(rows).astype(np.float64), np.array(truth), np.array(folds)
    temperature, crossed = fit_temperature(probs, right), len(set(folds)) > 1
    after = scaled(probs, temperature)
    if crossed:
        for number in sorted(set(folds)):
            mine = fold == number
            after[mine] = scaled(probs[mine], fit_temperature(probs[~mine], right[~mine]))
    return Calibration(
        system=system,
        temperature=round(temperature, DIGITS),
        speakers=sorted({speaker[utt] for run in runs for utt in run.fold.valid}),
        folds=sorted(set(folds)),
        seeds=sorted({run.seed for run in runs}),
        conditions=[condition.name for condition in conditions],
        items=len(right),
        bins=bins,
        crossed=crossed,
        nll=[round(nll(each, right), DIGITS) for each in (probs, after)],
        ece=[round(expected_calibration_error(each, right, bins), DIGITS) for each in (probs, after)],
    )


def error_of_predictions(predictions: pd.DataFrame, temperature: float, bins: int = BINS) -> float:
    """The expected calibration error, in percent, of rows of predictions.csv at a temperature."""
    classes = classes_of(predictions)
    labels = predictions["label"].map({name: index for index, name in enumerate(classes)}).to_numpy()
    return expected_calibration_error(scaled(predictions[classes].to_numpy(), temperature), labels, bins)
