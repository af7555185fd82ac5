"""The scale of scores: which distance is how near, by each condition, as calibrated or measured on the catalogue."""

from collections.abc import Collection, Mapping

import numpy as np

from model.errors import SolemateError
from model.nearness import Nearness, calibrate, combine
from service.store.base import OVERALL, StoreInfo, VectorStore, Weights

SAMPLE = 200
"""Shoes that are measured where the checkpoint has no calibration."""

POWER = 4.0
"""How steeply scores fall where there is nothing to measure."""


class NearnessScale:
    """Gives each condition of a catalogue its nearness. Safe in many threads at once."""

    def __init__(
        self, store: VectorStore, calibrated: Mapping[str, Nearness], conditions: Collection[str] = ()
    ) -> None:
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
                sample = self._store.sample(SAMPLE)
            except SolemateError:  # a store that is away: next time
                return {}
            vectors = [record.vector for record in sample]
            known = size, calibrate(np.stack(vectors), info.slices, self._conditions) if vectors else {}
            self._measured = known
        return known[1]


def _assume(condition: str, info: StoreInfo) -> Nearness:
    """As if the vectors were samples of the prior, which lie about sqrt(2 d) apart: half of that counts as near."""
    start, stop = (0, info.dimension) if condition == OVERALL else info.slices[condition]
    return Nearness(float(np.sqrt((stop - start) / 2)), POWER)
