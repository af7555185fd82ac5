"""Operations on a store, each made from its number alone, and what must be in the store after them.

So whoever survives a kill knows what was done. The truth is a `NaiveStore`, asked by loops in float64.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from service.store.base import OVERALL, Item, Record
from service.store.embedded.store import EmbeddedStore
from service.store.filters import HasValue
from tests.service.store.conftest import embedded
from tests.service.store.naive import DIMENSION, SLICES, NaiveStore, ids

IDS = 240
COLOURS = ("Black", "Blue", "Red", "White")

TOGETHER = tuple(f"together-{number}" for number in range(5))
"""Shoes that every upsert moves together: they are always at one place."""

PLACE = np.full(DIMENSION, 40.0, dtype=np.float32)
"""Far from all others, where they are found."""

CLOCK = "Step"
"""The attribute that says by which operation a shoe was stored."""


class Store(Protocol):
    """What an operation needs."""

    def upsert(self, records: Iterable[Record], /) -> object:
        """Insert or replace."""

    def delete(self, ids: Sequence[str], /) -> int:
        """Remove."""


@dataclass(frozen=True)
class Operation:
    """One change: shoes to insert or replace, or shoes to remove. One of the two is empty."""

    upserts: tuple[Record, ...]
    deletes: tuple[str, ...]

    def run(self, store: Store) -> None:
        """Do it; it is acknowledged once this returns."""
        if self.upserts:
            store.upsert(self.upserts)
        else:
            store.delete(self.deletes)


def make_store(folder: Path) -> EmbeddedStore:
    """The store that all of them write to, made or opened."""
    return embedded(folder)


def make_operation(seed: int, number: int) -> Operation:
    """The operation of that number: three of four store up to 45 shoes, the others remove up to 20."""
    rng = np.random.default_rng([seed, number])
    if rng.random() < 0.25:
        return Operation((), tuple(f"shoe-{each}" for each in rng.choice(IDS, rng.integers(1, 21), replace=False)))
    step = (f"{number}",)
    records = [
        Record(
            Item(f"shoe-{each}", f"{each}/{number}.jpg", {CLOCK: step, "Colour": (str(rng.choice(COLOURS)),)}),
            rng.normal(size=DIMENSION).astype(np.float32),
        )
        for each in rng.choice(IDS, rng.integers(1, 41), replace=False)
    ]
    moved = PLACE + rng.normal(size=DIMENSION).astype(np.float32)
    records += [Record(Item(name, f"{name}.jpg", {CLOCK: step}), moved) for name in TOGETHER]
    return Operation(tuple(records), ())


def find_difference(store: EmbeddedStore, truth: NaiveStore) -> str | None:
    """The first thing in which the store's shoes, their order, their texts or their vectors are not the truth."""
    page = store.page(limit=len(truth.records) + 1000)
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
    return None if store.facets() == truth.facets() else "the facets are wrong"


def find_wrong_answer(store: EmbeddedStore, truth: NaiveStore, rng: np.random.Generator) -> str | None:
    """Search for random vectors, by every condition and with a filter; the first answer that is not the truth's."""
    if not truth.records:
        return None
    colours = [HasValue("Colour", frozenset({value})) for value in truth.facets().get("Colour", ())]
    for condition, passing in [*((each, None) for each in (OVERALL, *SLICES)), *((OVERALL, each) for each in colours)]:
        queries = rng.normal(size=(4, DIMENSION)).astype(np.float32)
        for query, hits in zip(queries, store.search(queries, 10, condition=condition, filter=passing), strict=True):
            expected = truth.search(query, 10, condition=condition, filter=passing)
            # Two shoes may be so equally far that float32 decides otherwise; a wrong distance is never right.
            if [hit.distance for hit in hits] != pytest.approx([hit.distance for hit in expected], abs=1e-5):
                return f"{condition}, {passing}: {ids(hits)}, not {ids(expected)}"
    return None
