"""From distances to scores that people can read: how rare it is that two different shoes are this near.

A score is a logistic curve in the logarithm of the distance, laid through two quantiles of the distances between pairs
of different shoes: of validation shoes at the end of a training, else of shoes of the catalogue.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Levels = tuple[tuple[float, float], tuple[float, float]]
"""Two pairs of (share of the pairs of shoes that are nearer, score at that distance)."""

WHOLE: Final[Levels] = ((0.01, 0.4), (0.1, 0.2))
"""Of whole vectors: 0.65 is then about 1 pair in 1,000, near-duplicates get 0.8 and more."""

TRAIT: Final[Levels] = ((0.01, 0.75), (0.25, 0.25))
"""Of a condition's slice: it compares one trait, such as the colour, which many shoes of a catalogue share."""

STEEPEST = 8.0
"""Largest power of a calibration: of shoes that all are about equally far from each other."""

EQUAL = 1e-4
"""Distance up to which two vectors count as equal: they differ in rounding."""

OVERALL = "overall"
"""The condition that compares whole vectors, beside the names of their slices."""

LARGEST_EXPONENT = 700.0
"""Beyond it `math.exp` overflows; the score is 0 to all digits long before."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a distance is, in [0, 1]: 1 / (1 + (distance / scale) ** power).

    That is 1 for equal vectors, 0.5 at `scale`, and falls towards 0 beyond it.

    Attributes:
        scale: the distance whose score is 0.5; more than 0.
        power: how steeply scores fall around it; more than 0.
    """

    scale: float
    power: float

    def __post_init__(self) -> None:
        for name, value in (("scale", self.scale), ("power", self.power)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; expected a number that is more than 0")

    def score(self, distance: float) -> float:
        """Of a distance that is at least 0; never larger for a larger distance."""
        if distance <= 0:
            return 1.0
        exponent = self.power * (math.log(distance) - math.log(self.scale))
        return 1.0 / (1.0 + math.exp(min(exponent, LARGEST_EXPONENT)))


def combine(weights: Mapping[str, float], slices: Mapping[str, Nearness]) -> Nearness:
    """Of the distance that weighs several slices: the root of the weighted sum of their squared distances.

    Args:
        weights: slice -> weight, none below 0 and one at least above.
        slices: slice -> its own nearness.
    """
    counted = {name: weight for name, weight in weights.items() if weight > 0}
    squares = {name: weight * slices[name].scale ** 2 for name, weight in counted.items()}
    total = sum(squares.values())
    power = sum(square * slices[name].power for name, square in squares.items()) / total
    return Nearness(math.sqrt(total), power)


def calibrate(
    vectors: NDArray[np.float32], slices: Mapping[str, tuple[int, int]], conditions: Collection[str]
) -> dict[str, Nearness]:
    """Calibrate whole vectors and each slice on the distances between all pairs of different shoes.

    Args:
        vectors: (N, D), of N different shoes.
        slices: slice -> (start, stop) of its part of a vector.
        conditions: the slices that each compare one trait.

    Returns:
        `overall`, or a slice -> its nearness; where no two shoes differ, it is left out.
    """
    parts = {OVERALL: vectors, **{name: vectors[:, start:stop] for name, (start, stop) in slices.items()}}
    fitted = {
        name: _lay_through(_distances(part.astype(np.float64)), TRAIT if name in conditions else WHOLE)
        for name, part in parts.items()
    }
    return {name: nearness for name, nearness in fitted.items() if nearness is not None}


def _distances(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of all pairs of the rows, (N * (N - 1) / 2,)."""
    squares = np.square(vectors).sum(axis=1)
    whole = squares[:, None] + squares[None] - 2.0 * vectors @ vectors.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(whole[np.triu_indices(len(vectors), 1)], 0.0))
    return distances


def _lay_through(distances: NDArray[np.float64], levels: Levels) -> Nearness | None:
    """The curve through two quantiles of the distances that are more than 0; equal vectors show the same picture."""
    if not (distances > EQUAL).any():
        return None
    (near_share, near_score), (far_share, far_score) = levels
    near, far = np.quantile(distances[distances > EQUAL], [near_share, far_share])
    # The curve has the odds (scale / distance) ** power.
    near_odds, far_odds = (score / (1.0 - score) for score in (near_score, far_score))
    steepness = math.log(near_odds / far_odds)
    power = min(STEEPEST, steepness / max(math.log(far / near), steepness / STEEPEST))
    return Nearness(float(near * near_odds ** (1.0 / power)), power)
