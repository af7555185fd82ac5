"""One side of the comparison, in a process of its own: built in one, measured in another. Needs nothing but NumPy.

python -m benchmarks.growth.ours build FOLDER       reads job.json, leaves its index and built.json
python -m benchmarks.growth.ours search FOLDER      reads them, leaves searched.json
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.growth.measure import anonymous_bytes, measure, recall

Vectors = NDArray[np.float32]

CHECKED = 500
"""Queries that tell the recall of an effort while one is chosen."""


@dataclass(frozen=True)
class Job:
    """What a side is to do; all paths are absolute.

    Attributes:
        vectors: (N, D) float32, a .npy.
        queries: (Q, D) float32, a .npy.
        nearest: (Q, 10) int64, the numbers of each query's nearest vectors, a .npy.
        lots: (N,) uint8, a .npy: each vector's lot, one of a hundred.
        filtered: (F, 10) int64, a .npy: the nearest to each of the first F queries in lot 0 only.
        slices: condition -> (start, stop).
        goal: recall@10 to reach.
        threads: for building.
        clients: threads that search at once, one load after the other.
        seconds: how long each load lasts.
        milvus: address of the server, for the side that needs one.
    """

    vectors: str
    queries: str
    nearest: str
    lots: str
    filtered: str
    slices: dict[str, tuple[int, int]]
    goal: float
    threads: int
    clients: tuple[int, ...]
    seconds: float
    milvus: str | None = None


class Opened(Protocol):
    """An index that is ready to be searched."""

    @property
    def efforts(self) -> Sequence[int]:
        """What its search may be told, ascending; one only where it knows by itself."""
        ...

    @property
    def mapped_bytes(self) -> int | None:
        """Memory in mapped files; None where all of it is another process's."""
        ...

    @property
    def told(self) -> dict[str, Any]:
        """What else is worth telling."""
        ...

    def search(self, query: Vectors, effort: int, /) -> Sequence[int]:
        """The numbers of the ten nearest."""
        ...

    def search_lot(self, query: Vectors, effort: int, /) -> Sequence[int] | None:
        """Of those in lot 0, the numbers of the ten nearest; None where it has no filters."""
        ...


class Side(Protocol):
    """One way to search vectors."""

    def build(self, job: Job, folder: Path, /) -> dict[str, Any]:
        """Leave an index in the folder. Returns what is worth telling of it."""
        ...

    def open(self, job: Job, folder: Path, /) -> Opened:
        """Read that index."""
        ...


def main(side: Side) -> None:
    """Do what the command line says."""
    step, folder = sys.argv[1], Path(sys.argv[2])
    written = json.loads((folder / "job.json").read_text("utf-8"))
    job = Job(**{**written, "clients": tuple(written["clients"])})
    done = build(side, job, folder) if step == "build" else search(side, job, folder)
    name = "built" if step == "build" else "searched"
    (folder / f"{name}.json").write_text(json.dumps(done, indent=2), "utf-8")


def build(side: Side, job: Job, folder: Path) -> dict[str, Any]:
    """Seconds by the clock and of processors; the clock's depend on what else the machine does."""
    clock, processors = time.perf_counter(), time.process_time()
    told = side.build(job, folder)
    return {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - processors, **told}


def search(side: Side, job: Job, folder: Path) -> dict[str, Any]:
    """Memory, recall and latencies."""
    queries, nearest = np.load(job.queries), np.load(job.nearest)
    before = anonymous_bytes()
    began = time.perf_counter()
    index = side.open(job, folder)
    opened = time.perf_counter() - began
    memory = None if index.mapped_bytes is None else anonymous_bytes() - before + index.mapped_bytes
    effort, found = choose(index, queries, nearest, job.goal)
    latencies = [
        measure(lambda query: index.search(query, effort), queries, clients=clients, seconds=job.seconds)
        for clients in job.clients
    ]
    return {
        "open_seconds": opened,
        "memory": memory,
        "effort": effort,
        "recall": found,
        "latencies": [each.to_json() for each in latencies],
        "filtered": search_filtered(index, job, queries, effort),
        **index.told,
    }


def choose(index: Opened, queries: Vectors, nearest: NDArray[np.int64], goal: float) -> tuple[int, float]:
    """The least effort that reaches the goal, or the largest there is; and its recall over all queries."""
    chosen = index.efforts[-1]
    for effort in index.efforts:
        if recall(of(index.search, effort), queries[:CHECKED], nearest[:CHECKED]) >= goal:
            chosen = effort
            break
    return chosen, recall(of(index.search, chosen), queries, nearest)


def search_filtered(index: Opened, job: Job, queries: Vectors, effort: int) -> dict[str, Any] | None:
    """The same for a hundredth of the vectors, one client; with the effort that reaches the goal there too."""
    if index.search_lot(queries[0], effort) is None:
        return None
    nearest = np.load(job.filtered)
    asked = queries[: len(nearest)]
    for harder in [each for each in index.efforts if each >= effort]:
        found = recall(lot_of(index, harder), asked, nearest)
        if found >= job.goal:
            break
    latency = measure(lot_of(index, harder), queries, clients=1, seconds=job.seconds)
    return {"effort": harder, "recall": found, **latency.to_json()}


def of(search: Callable[[Vectors, int], Sequence[int]], effort: int) -> Callable[[Vectors], Sequence[int]]:
    """A search with one effort."""
    return lambda query: search(query, effort)


def lot_of(index: Opened, effort: int) -> Callable[[Vectors], Sequence[int]]:
    """A search within lot 0, with one effort."""
    return lambda query: index.search_lot(query, effort) or ()
