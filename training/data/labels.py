"""`Labels`: the values of a catalogue's attributes as multi-hot arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import TrainingError


@dataclass(frozen=True)
class Labels:
    """The values of one attribute over N shoes.

    Two shoes are alike if they share a value, and different if both have values and share none. A shoe without a
    value is neither: it takes no part.

    Attributes:
        attribute: its name.
        values: V values, in alphabetical order.
        table: (N, V) bool.
    """

    attribute: str
    values: tuple[str, ...]
    table: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) bool: the shoes that have a value."""
        known: NDArray[np.bool_] = np.logical_or.reduce(self.table, axis=1)
        return known

    def take(self, rows: NDArray[np.intp]) -> "Labels":
        """The labels of the shoes at these indices, in this order."""
        return Labels(self.attribute, self.values, self.table[rows])

    def makes_triplets(self) -> bool:
        """Is there a shoe that shares a value with a second one and differs from a third one?"""
        shared, known = self.table.sum(axis=0) > 1, int(self.known.sum())
        seen = set()
        for row in self.table[self.known]:
            if (key := row.tobytes()) not in seen and (row & shared).any():
                if int(self.table[:, row].any(axis=1).sum()) < known:
                    return True
                seen.add(key)
        return False

    def alike(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Do these pairs of shoes share a value? (M,) and (M,) indices -> (M,) bool."""
        shared: NDArray[np.bool_] = np.logical_or.reduce(self.table[left] & self.table[right], axis=1)
        return shared


def encode_labels(attributes: Sequence[Mapping[str, tuple[str, ...]]], attribute: str) -> Labels:
    """Read one attribute off N shoes.

    Raises:
        TrainingError: no shoe has the attribute (the message lists those there are), or all share one value.
    """
    values = sorted({value for each in attributes for value in each.get(attribute, ())})
    if not values:
        known = ", ".join(sorted({name for each in attributes for name in each})) or "none"
        raise TrainingError(f"no shoe has the attribute {attribute!r}; the catalogue's attributes are: {known}")
    if len(values) == 1:
        raise TrainingError(
            f"every shoe that has the attribute {attribute!r} has the value {values[0]!r}: it tells no two apart"
        )
    column = {value: index for index, value in enumerate(values)}
    table = np.zeros((len(attributes), len(values)), dtype=np.bool_)
    for row, each in enumerate(attributes):
        for value in each.get(attribute, ()):
            table[row, column[value]] = True
    return Labels(attribute=attribute, values=tuple(values), table=table)
