"""What must be in the store, as a dictionary, and answers worked out from it by the plainest means."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.durability.operations import SLICES, Operation
from service.store.base import OVERALL, Record
from service.store.embedded.store import EmbeddedStore

__all__ = ["Truth", "find_difference", "find_wrong_answer"]

QUERIES = 4
NEAREST = 10
TOLERANCE = 1e-5


class Truth:
    """The shoes in the order of their insertion."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def after(self, operation: Operation) -> "Truth":
        """What is true once that is done. A shoe that is replaced keeps its place."""
        result = Truth()
        result.records = dict(self.records)
        for name in operation.deletes:
            result.records.pop(name, None)
        for record in operation.upserts:
            result.records[record.item.id] = record
        return result

    def nearest(self, query: NDArray[np.float32], condition: str, colour: str | None) -> list[tuple[str, float]]:
        """The ids of the nearest shoes and how far they are, each compared in float64."""
        start, stop = SLICES.get(condition, (0, len(query)))
        found = [
            (name, float(np.linalg.norm((record.vector.astype(np.float64) - query)[start:stop])))
            for name, record in self.records.items()
            if colour is None or colour in record.item.attributes.get("Colour", ())
        ]
        return sorted(found, key=lambda pair: pair[1])[:NEAREST]

    def colours(self) -> dict[str, int]:
        """How many shoes have each colour."""
        counts: dict[str, int] = {}
        for record in self.records.values():
            for colour in record.item.attributes.get("Colour", ()):
                counts[colour] = counts.get(colour, 0) + 1
        return counts


def find_difference(store: EmbeddedStore, truth: Truth) -> str | None:
    """The first thing in which the store's shoes, their order, their texts or their vectors are not the truth."""
    page = store.page(limit=max(1, len(truth.records) + 1000))
    found, expected = [item.id for item in page.items], list(truth.records)
    if found != expected:
        lost, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        return f"lost {lost}, too many {extra}" if lost or extra else "the shoes are in another order"
    for item in page.items:
        record = truth.records[item.id]
        if item != record.item:
            return f"{item} in place of {record.item}"
        if not np.array_equal(store.vector(item.id), record.vector):
            return f"the vector of {item.id} is another"
    if store.facets().get("Colour", {}) != truth.colours():
        return "the facets are wrong"
    return None


def find_wrong_answer(store: EmbeddedStore, truth: Truth, rng: np.random.Generator) -> str | None:
    """Search for random vectors, by every condition and with a filter; the first answer that is not the truth's."""
    for condition, colour in _questions(truth):
        queries = rng.normal(size=(QUERIES, len(next(iter(truth.records.values())).vector))).astype(np.float32)
        passing = None if colour is None else {"Colour": frozenset({colour})}
        answers = store.search(queries, NEAREST, condition=condition, filter=passing)
        for query, hits in zip(queries, answers, strict=True):
            expected = truth.nearest(query, condition, colour)
            if len(hits) != len(expected):
                return f"{condition}, {colour}: {len(hits)} hits, not {len(expected)}"
            for hit, (name, distance) in zip(hits, expected, strict=True):
                # Two shoes may be so equally far that float32 decides otherwise; a wrong distance is never right.
                if abs(hit.distance - distance) > TOLERANCE * max(1.0, distance):
                    return f"{condition}, {colour}: {hit.item.id} at {hit.distance}, not {name} at {distance}"
    return None


def _questions(truth: Truth) -> Iterator[tuple[str, str | None]]:
    if truth.records:
        yield from ((condition, None) for condition in (OVERALL, *SLICES))
        yield from ((OVERALL, colour) for colour in truth.colours())
