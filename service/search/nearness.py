"""Scores of a catalogue's distances: as the training calibrated them, or as the catalogue's own shoes lie."""

from collections.abc import Collection, Mapping

import numpy as np

from model.errors import SolemateError
from model.nearness import Nearness, calibrate, combine
from service.errors import UnknownItem
from service.store.base import OVERALL, StoreInfo, VectorStore, Weights

__all__ = ["NearnessScale"]

SAMPLE = 200
"""Shoes that are measured where the checkpoint has no calibration."""

PAGE = 1000
PAGES = 10
"""Pages of the catalogue, of 1,000 shoes each, among which they are chosen: so many are read in well under a second."""

POWER = 4.0
"""How steeply scores fall where there is nothing to measure."""


class NearnessScale:
    """Gives each condition of a catalogue its nearness. Safe in many threads at once."""

    def __init__(self, store: VectorStore, calibrated: Mapping[str, Nearness], conditions: Collection[str]) -> None:
        """Take a store, and what the checkpoint knows.

        Args:
            store: of the catalogue.
            calibrated: `overall`, or a slice -> nearness.
            conditions: the slices that each compare one trait.
        """
        self._store, self._calibrated, self._conditions = store, calibrated, conditions
        # A catalogue is measured again once it has grown to twice its size.
        self._measured: tuple[int, Mapping[str, Nearness]] | None = None

    def of(self, condition: str | Weights) -> Nearness:
        """Of a condition that the store knows, or of weights of several slices. May ask the store, once."""
        if not isinstance(condition, str):
            return combine(condition, {name: self.of(name) for name, weight in condition.items() if weight > 0})
        if (known := self._calibrated.get(condition)) is not None:
            return known
        info = self._store.info()
        return self._measure(info).get(condition) or _assume(condition, info)

    def _measure(self, info: StoreInfo) -> Mapping[str, Nearness]:
        size, known = info.count.bit_length(), self._measured
        if known is None or known[0] != size:
            try:
                known = self._measured = size, self._calibrate(info)
            except SolemateError:  # a store that is away: next time
                return {}
        return known[1]

    def _calibrate(self, info: StoreInfo) -> Mapping[str, Nearness]:
        step = max(1, -(-min(info.count, PAGE * PAGES) // SAMPLE))
        vectors, cursor = [], None
        for _ in range(PAGES):
            page = self._store.page(limit=PAGE, cursor=cursor)
            for item in page.items[::step]:
                try:
                    vectors.append(self._store.vector(item.id))
                except UnknownItem:  # it has just gone
                    continue
            if (cursor := page.next) is None:
                break
        return calibrate(np.stack(vectors), info.slices, self._conditions) if vectors else {}


def _assume(condition: str, info: StoreInfo) -> Nearness:
    """As if the vectors were samples of the prior, which lie about sqrt(2 d) apart: half of that counts as near."""
    start, stop = (0, info.dimension) if condition == OVERALL else info.slices[condition]
    return Nearness(float(np.sqrt((stop - start) / 2)), POWER)
