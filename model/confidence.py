"""How likely a vector is one of a shoe such as the network learned from: logistic regression on the vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConfidenceModel", "expand"]


@dataclass(frozen=True)
class ConfidenceModel:
    """A logistic regression. Travels in the checkpoint; calibrated on held-out shoes and on pictures without any.

    Attributes:
        bias: the intercept.
        weights: (2 D,) of a vector's numbers and of their squares.
    """

    bias: float
    weights: Sequence[float]

    def estimate(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability, were half of all pictures shoes: (B, D), as `Embedder` returns them -> (B,) in [0, 1]."""
        scores = expand(vectors) @ np.asarray(self.weights, dtype=np.float64) + self.bias
        probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(scores, -50.0, 50.0)))
        return probabilities


def expand(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The regression's features: (B, D) -> (B, 2 D), the numbers and their squares."""
    values = vectors.astype(np.float64)
    return np.concatenate([values, np.square(values)], axis=1)
