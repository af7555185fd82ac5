"""How likely a picture shows a shoe such as the network learned from: logistic regression on what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.framing import Subject

LEAST_SURE = 0.01
"""Bound of the localizer's confidence, from 0 and from 1, in the log-odds."""


@dataclass(frozen=True)
class ConfidenceModel:
    """A logistic regression. Travels in the checkpoint; calibrated on held-out shoes and on pictures without any.

    Attributes:
        bias: the intercept.
        weights: (2 D + 3,) of the features that `expand` gives.
    """

    bias: float
    weights: Sequence[float]

    def estimate(
        self, vectors: NDArray[np.float32], found: Sequence[float] | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The probability, were half of all pictures shoes.

        Args:
            vectors: (B, D), as `Embedder` returns them.
            found: B, as `rate_found` gives it.

        Returns:
            (B,) in [0, 1].
        """
        scores = expand(vectors, found) @ np.asarray(self.weights, dtype=np.float64) + self.bias
        probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(scores, -50.0, 50.0)))
        return probabilities


def rate_found(subject: Subject | None) -> float:
    """How sure the localizer was, in [0, 1]: 0 where it found nothing, 1 where a plain margin made it needless."""
    return 0.0 if subject is None else subject.confidence


def expand(vectors: NDArray[np.float32], found: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The regression's features.

    A photo counts by what the localizer found and by the vector's length alone: regressions on all numbers of the
    vector learned the drawn backgrounds of the training, and told photographs without a shoe worse (docs/results.md).

    Args:
        vectors: (B, D).
        found: B, as `rate_found` gives it.

    Returns:
        (B, 2 D + 3): of pictures with a plain margin the vector's numbers and their squares, and 1; of others the
        log-odds of `found` and the mean of the squares. What does not apply is 0.
    """
    values, sure = vectors.astype(np.float64), np.asarray(found, dtype=np.float64)
    plain = (sure >= 1.0)[:, None]
    squares = np.square(values)
    odds = np.clip(sure, LEAST_SURE, 1.0 - LEAST_SURE)[:, None]
    photo = np.concatenate([np.log(odds / (1.0 - odds)), squares.mean(axis=1, keepdims=True)], axis=1)
    return np.concatenate(
        [np.where(plain, np.concatenate([values, squares], axis=1), 0.0), plain, np.where(plain, 0.0, photo)], axis=1
    )
