"""Why two shoes are alike: what each slice adds to their distance, and which attributes they share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.embedder import Vector
from service.store.base import Item

__all__ = ["Agreement", "Explanation", "SliceDistance", "explain"]


@dataclass(frozen=True, slots=True)
class SliceDistance:
    """How far apart two shoes are in one slice; `share` of their squared distance, 0 where that is 0."""

    name: str
    distance: float
    share: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The values that two shoes have of one attribute; they agree where they share one."""

    name: str
    values: tuple[str, ...]
    other_values: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether they share a value."""
        return not set(self.values).isdisjoint(self.other_values)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two shoes compared: their distance by whole vectors, and its parts. See `explain`."""

    item: Item
    other: Item
    distance: float
    slices: tuple[SliceDistance, ...]
    attributes: tuple[Agreement, ...]


def explain(one: tuple[Item, Vector], other: tuple[Item, Vector], slices: Mapping[str, tuple[int, int]]) -> Explanation:
    """Compare two shoes with their vectors, (D,), in the slices, name -> (start, stop), and all their attributes."""
    squares = np.square(one[1].astype(np.float64) - other[1].astype(np.float64))
    total = float(squares.sum())
    parts = ((name, float(squares[start:stop].sum())) for name, (start, stop) in slices.items())
    names = dict.fromkeys([*one[0].attributes, *other[0].attributes])
    return Explanation(
        one[0],
        other[0],
        total**0.5,
        tuple(SliceDistance(name, square**0.5, square / total if total else 0.0) for name, square in parts),
        tuple(Agreement(name, one[0].attributes.get(name, ()), other[0].attributes.get(name, ())) for name in names),
    )
