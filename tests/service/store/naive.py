"""The plainest store there is, to compare real ones with, and shoes to fill both."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from service.store.base import OVERALL, Filter, Hit, Item, Record, StoreSpec, VectorStore, Weights, iterate_items
from tests.support.filters import passes

DIMENSION = 8
SLICES = {"category": (0, 3), "closure": (3, 5), "free": (5, 8)}
CHECKPOINT = "c0ffee" * 10
ROOT = "/pictures"
SPEC = StoreSpec.of(DIMENSION, SLICES, CHECKPOINT, ROOT)

VALUES = {
    "Category": ("Boots", "Sandals", "Shoes", "Slippers"),
    "Closure": ("Buckle", "Lace up", "Slip-On", "Zipper"),
    "Gender": ("Boys", "Girls", "Men", "Women"),
}


class NaiveStore:
    """A dict and a loop. Holds what `VectorStore` asks for, without checks, pages or durability."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def upsert(self, records: Iterable[Record]) -> None:
        """A dict keeps the place of a key that is set again, as a store keeps the place of a shoe."""
        for record in records:
            self.records[record.item.id] = record

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """The shoe afterwards; it must be there."""
        old = self.records[item_id]
        merged = {name: values for name, values in {**old.item.attributes, **attributes}.items() if values}
        item = Item(item_id, old.item.image, merged)
        self.records[item_id] = Record(item, old.vector)
        return item

    def delete(self, ids: Sequence[str]) -> int:
        """How many were there."""
        return sum(self.records.pop(item_id, None) is not None for item_id in ids)

    def passing(self, filter: Filter | None) -> list[Record]:
        """Those that pass, in the order of insertion."""
        return [record for record in self.records.values() if passes(filter, record.item.attributes, record.item.id)]

    def search(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
    ) -> list[Hit]:
        """The hits of one query, (D,)."""
        hits = [Hit(record.item, distance(query, record.vector, condition)) for record in self.passing(filter)]
        # Sorting is stable: ties stay in the order of insertion.
        return sorted(hits, key=lambda hit: hit.distance)[:k]

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """Counted one by one."""
        counts: dict[str, dict[str, int]] = {}
        for record in self.passing(filter):
            for name, values in record.item.attributes.items():
                for value in set(values):
                    of_name = counts.setdefault(name, {})
                    of_name[value] = of_name.get(value, 0) + 1
        return counts


def distance(one: NDArray[np.float32], other: NDArray[np.float32], condition: str | Weights = OVERALL) -> float:
    """Between two vectors, (D,), by the definition."""
    difference = one.astype(float) - other.astype(float)
    if isinstance(condition, str):
        start, stop = SLICES.get(condition, (0, DIMENSION))
        return float(np.linalg.norm(difference[start:stop]))
    squares = (weight * float(np.sum(difference[slice(*SLICES[name])] ** 2)) for name, weight in condition.items())
    return math.sqrt(sum(squares))


def shoe(
    item_id: str,
    vector: Sequence[float] | NDArray[np.floating],
    attributes: Mapping[str, tuple[str, ...]] | None = None,
) -> Record:
    """A record; a vector shorter than DIMENSION is filled up with zeros."""
    full = np.zeros(DIMENSION, dtype=np.float32)
    full[: len(vector)] = vector
    return Record(Item(item_id, f"images/{item_id}.jpg", attributes or {}), full)


@cache
def shoes(count: int, *, seed: int = 0, prefix: str = "shoe") -> tuple[Record, ...]:
    """Random shoes; every third attribute is absent, and some have two values."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    records = []
    for number, vector in enumerate(vectors):
        attributes = {
            name: tuple(sorted(rng.choice(values, size=rng.integers(1, 3), replace=False).tolist()))
            for name, values in VALUES.items()
            if rng.random() < 2 / 3
        }
        records.append(shoe(f"{prefix}-{number}", vector, attributes))
    return tuple(records)


def ids(hits: Iterable[Hit]) -> list[str]:
    """The ids of hits, in their order."""
    return [hit.item.id for hit in hits]


def ids_in(store: VectorStore) -> set[str]:
    """The ids of all shoes of a store."""
    return {item.id for item in iterate_items(store)}
