"""How near the distances of a catalogue are: as the training calibrated them, or as the catalogue's own shoes lie."""

from collections.abc import Mapping

import numpy as np

from model.errors import SolemateError
from model.nearness import Nearness, combine
from service.store.base import OVERALL, StoreInfo, VectorStore, Weights

__all__ = ["NEIGHBOUR", "POWER", "NearnessScale"]

NEIGHBOUR = 10
"""Without a calibration, the score is 0.5 at the distance that a shoe's tenth nearest one has in the median."""

POWER = 4.0
"""How steeply scores fall without a calibration: 0.94 at half of that distance, 0.06 at twice of it."""

SAMPLE = 100
"""Shoes that are asked for that distance: the first ones of the catalogue."""


class NearnessScale:
    """Gives each condition of a catalogue its nearness. Safe in many threads at once."""

    def __init__(self, store: VectorStore, calibrated: Mapping[str, Nearness]) -> None:
        """Take a store, and what the checkpoint knows: condition, `overall` or a slice -> nearness."""
        self._store, self._calibrated = store, calibrated
        # A catalogue is measured again once it has grown to twice its size.
        self._measured: dict[tuple[str, int], Nearness] = {}

    def of(self, condition: str | Weights) -> Nearness:
        """Of a condition that the store knows, or of weights of several slices. May ask the store, once."""
        if not isinstance(condition, str):
            return combine(condition, {name: self.of(name) for name, weight in condition.items() if weight > 0})
        if (known := self._calibrated.get(condition)) is not None:
            return known
        info = self._store.info()
        key = (condition, info.count.bit_length())
        if (measured := self._measured.get(key)) is None:
            try:
                measured = self._measured[key] = self._measure(condition, info)
            except SolemateError:  # a shoe that has just gone, or a store that is away: next time
                return _assume(condition, info)
        return measured

    def _measure(self, condition: str, info: StoreInfo) -> Nearness:
        sample = self._store.page(limit=SAMPLE).items
        if not sample:
            return _assume(condition, info)
        queries = np.stack([self._store.vector(item.id) for item in sample])
        found = self._store.search(queries, 1 + NEIGHBOUR, condition=condition)
        distance = float(np.median([hits[-1].distance for hits in found]))
        return Nearness(distance, POWER) if distance > 0 else _assume(condition, info)


def _assume(condition: str, info: StoreInfo) -> Nearness:
    """As if the vectors were samples of the prior, which lie about sqrt(2 d) apart: half of that counts as near."""
    start, stop = (0, info.dimension) if condition == OVERALL else info.slices[condition]
    return Nearness(float(np.sqrt((stop - start) / 2)), POWER)
