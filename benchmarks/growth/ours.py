"""solemate's own store, as the service opens it: SQLite, attributes, durability and all."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.growth.measure import anonymous_bytes
from benchmarks.growth.side import Job, Opened, Vectors, main
from service.store.base import OVERALL, Item, Record, StoreSpec
from service.store.embedded.database import Truth
from service.store.embedded.files import VECTORS, IndexKey, index_file, load_tuned, load_vectors
from service.store.embedded.store import DATABASE, EmbeddedStore
from service.store.filters import HasValue

LOT = HasValue("Lot", frozenset({"0"}))
AT_ONCE = 10_000
STORE = "catalog"
LIMITS: dict[str, Any] = {}
"""Of the store; none of its own are those that the service has unless told otherwise."""


class Solemate:
    """A side."""

    def build(self, job: Job, folder: Path) -> dict[str, Any]:
        """See Side: the index is that of whole vectors; of the conditions', one is timed beside it."""
        vectors, lots = np.load(job.vectors, mmap_mode="r"), np.load(job.lots)
        count, dimension = vectors.shape
        EmbeddedStore.remove(folder / STORE)
        spec = StoreSpec.of(dimension, job.slices, "growth", folder)
        store = EmbeddedStore.create(folder / STORE, spec, threads=job.threads, **LIMITS)
        seconds: dict[str, float] = {}
        with closing(store):
            began = perf_counter()
            for start in range(0, count, AT_ONCE):
                store.upsert(records(vectors[start : start + AT_ONCE], lots[start : start + AT_ONCE], start))
            seconds["stored"] = perf_counter() - began
        with closing(EmbeddedStore.open(folder / STORE, threads=job.threads, **LIMITS)) as store:
            clock, processors = perf_counter(), process_time()
            store.build_indexes([OVERALL])
            seconds["index"], seconds["index_cpu"] = perf_counter() - clock, process_time() - processors
        return {f"{name}_seconds": value for name, value in seconds.items()}

    def open(self, _job: Job, folder: Path) -> Opened:
        """See Side."""
        return OpenedSolemate(folder)


class OpenedSolemate:
    """See Opened. It has tuned its effort itself when it was built."""

    efforts = (0,)

    def __init__(self, folder: Path) -> None:
        # First: what opening the store gives back to the process would hide it.
        index_memory = measure_index(folder / STORE)
        self._store = EmbeddedStore.open(folder / STORE, **LIMITS)
        self._store.build_indexes([OVERALL])
        base, info = self._store.current().base, self._store.info()
        tuned = base.tuned.get(OVERALL)
        self.mapped_bytes = 0 if tuned is None else base.vectors.nbytes  # a small catalogue's are copied
        self.told: dict[str, Any] = {
            "index": info.index,
            "recall_at_build": info.recall,
            "settings": [asdict(setting) for setting in tuned.settings] if tuned is not None else [],
            "index_memory": index_memory,
        }

    def search(self, query: Vectors, _effort: int) -> Sequence[int]:
        """See Opened."""
        return [int(hit.item.id) for hit in self._store.search(query[None], 10)[0]]

    def search_lot(self, query: Vectors, _effort: int) -> Sequence[int] | None:
        """See Opened."""
        return [int(hit.item.id) for hit in self._store.search(query[None], 10, filter=LOT)[0]]


def measure_index(folder: Path) -> int | None:
    """Memory of what one condition's searches need, beside the shoes: vectors, their numbers, and an index.

    None for a small catalogue.
    """
    truth = Truth(folder / DATABASE, checked=False)
    dimension = truth.spec.dimension
    truth.close()
    before = anonymous_bytes()
    vectors = load_vectors(folder / VECTORS, truth.uuid, dimension)
    if vectors is None:
        return None
    key = IndexKey(vectors.digest, len(vectors.numbers), (0, dimension), minimum=0.0)
    tuned = load_tuned(index_file(folder, 0, dimension), key)
    if tuned is None:
        return None
    return anonymous_bytes() - before + vectors.vectors.nbytes


def records(vectors: Vectors, lots: np.ndarray[Any, np.dtype[np.uint8]], first: int) -> Iterator[Record]:
    """Shoes with these vectors; the id is the vector's number."""
    for number, (vector, lot) in enumerate(zip(vectors, lots.tolist(), strict=True), start=first):
        yield Record(Item(str(number), f"{number}.jpg", {"Lot": (str(lot),)}), vector)


if __name__ == "__main__":
    main(Solemate())
