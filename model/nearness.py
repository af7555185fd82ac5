"""From distances to scores that people can read: a logistic curve in the logarithm of the distance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Nearness", "combine"]

LARGEST_EXPONENT = 700.0
"""Beyond it `math.exp` overflows; the score is 0 to all digits long before."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a distance is, in [0, 1]: 1 / (1 + (distance / scale) ** power).

    That is the probability of a logistic regression on log(distance): 1 for equal vectors, 0.5 at `scale`, and falling
    towards 0 beyond it.

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
