"""A linear probe: logistic regression on pooled features, its regularisation chosen on validation speakers."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trnet.metrics import uar

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

COSTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # scikit-learn's C, tried from the strongest regularisation on
MOST_STEPS = 300  # of L-BFGS
TOLERANCE = 1e-3  # largest component of the gradient of the mean loss


@dataclass(frozen=True)
class Items:
    """Pooled features (n, dim) and the class of each (n,)."""

    pooled: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class LinearProbe:
    """A trained probe. mean, scale (dim,): of the training items, by which features are standardised; cost: its C."""

    mean: np.ndarray
    scale: np.ndarray
    network: "LogisticRegression"
    cost: float

    def probabilities(self, pooled: np.ndarray) -> np.ndarray:
        """Of each class (n, classes), for features (n, dim)."""
        found: np.ndarray = self.network.predict_proba((pooled - self.mean) / self.scale)
        return found

    def uar(self, items: Items) -> float:
        """Percent."""
        return uar(items.labels, self.probabilities(items.pooled).argmax(axis=1))


def train_probe(train: Items, valid: Sequence[Items]) -> LinearProbe:
    """Train on items of the training speakers, of which there must be some of each class 0, 1, ...

    Args:
        train: Of all conditions.
        valid: Of the validation speakers, one a condition: the C with the best mean of their UARs is taken, the
            smallest of equals.

    Returns:
        The same numbers for the same items: nothing is drawn.
    """
    from sklearn.exceptions import ConvergenceWarning  # here, because it takes seconds to import
    from sklearn.linear_model import LogisticRegression

    mean, scale = train.pooled.mean(axis=0, dtype=np.float64), train.pooled.std(axis=0, dtype=np.float64)
    mean, scale = mean.astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)
    standardised = (train.pooled - mean) / scale
    network = LogisticRegression(max_iter=MOST_STEPS, tol=TOLERANCE, warm_start=True)
    best: tuple[float, LinearProbe] | None = None
    for cost in COSTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # validation chooses among what the steps came to
            network.set_params(C=cost).fit(standardised, train.labels)
        probe = LinearProbe(mean, scale, copy.deepcopy(network), cost)
        score = float(np.mean([probe.uar(items) for items in valid]))
        if best is None or score > best[0]:
            best = score, probe
    assert best is not None
    return best[1]
