"""How likely a picture shows a shoe such as the network learned from: logistic regression on what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.framing import Subject

__all__ = ["ConfidenceModel", "expand", "rate_found"]

LEAST_SURE = 0.01
"""Bound of the localizer's confidence, from 0 and from 1, in the log-odds."""


@dataclass(frozen=True)
class ConfidenceModel:
    """A logistic regression. Travels in the checkpoint; calibrated on held-out shoes and on pictures without any.

    Attributes:
        bias: the intercept.
        weights: (2 D + 2,) of the features that `expand` gives.
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

    Args:
        vectors: (B, D).
        found: B, as `rate_found` gives it.

    Returns:
        (B, 2 D + 2): the vector's numbers and their squares, the log-odds of `found`, and whether the margin was plain.
    """
    values, sure = vectors.astype(np.float64), np.asarray(found, dtype=np.float64)
    plain = sure >= 1.0
    odds = np.clip(sure, LEAST_SURE, 1.0 - LEAST_SURE)
    rated = np.where(plain, 0.0, np.log(odds / (1.0 - odds)))
    return np.concatenate([values, np.square(values), rated[:, None], plain[:, None]], axis=1)
