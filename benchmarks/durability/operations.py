"""What the writer does, each operation from its number alone, so that whoever survives knows what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.store.base import Item, Record
from service.store.embedded.store import EmbeddedStore

__all__ = ["CLOCK", "PLACE", "SLICES", "TOGETHER", "Operation", "make_operation", "make_store"]

DIMENSION = 8
SLICES = {"category": (0, 3), "closure": (3, 5), "free": (5, 8)}
IDS = 240
COLOURS = ("Black", "Blue", "Red", "White")

TOGETHER = tuple(f"together-{number}" for number in range(5))
"""Shoes that every upsert moves together: they are always at one place."""

PLACE = np.full(DIMENSION, 40.0, dtype=np.float32)
"""Far from all others, where they are found."""

CLOCK = "Step"
"""The attribute that tells by which operation a shoe was stored."""


@dataclass(frozen=True)
class Operation:
    """One acknowledged change: shoes to insert or replace, or shoes to remove. One of the two is empty."""

    upserts: tuple[Record, ...]
    deletes: tuple[str, ...]

    def run(self, store: EmbeddedStore) -> None:
        """Do it; it is acknowledged once this returns."""
        if self.upserts:
            store.upsert(self.upserts)
        else:
            store.delete(self.deletes)


def make_operation(seed: int, number: int) -> Operation:
    """The operation of that number: three of four store up to 40 shoes, the others remove up to 20."""
    rng = np.random.default_rng([seed, number])
    if rng.random() < 0.25:
        return Operation((), tuple(_names(rng.choice(IDS, size=rng.integers(1, 21), replace=False).tolist())))
    names = _names(rng.choice(IDS, size=rng.integers(1, 41), replace=False).tolist())
    vectors = rng.normal(size=(len(names), DIMENSION)).astype(np.float32)
    step = (f"{number}",)
    records = [
        Record(Item(name, f"{name}/{number}.jpg", {CLOCK: step, "Colour": (str(rng.choice(COLOURS)),)}), vector)
        for name, vector in zip(names, vectors, strict=True)
    ]
    moved = PLACE + rng.normal(size=DIMENSION).astype(np.float32)
    records += [Record(Item(name, f"{name}.jpg", {CLOCK: step}), moved) for name in TOGETHER]
    return Operation(tuple(records), ())


def make_store(folder: Path) -> EmbeddedStore:
    """The store that all of them write to, made or opened."""
    return EmbeddedStore.create(folder, dimension=DIMENSION, slices=SLICES, checkpoint="durability", root="/none")


def _names(numbers: Sequence[int]) -> list[str]:
    return [f"shoe-{number}" for number in numbers]
