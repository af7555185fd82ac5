"""How a search is measured, the same for every side. Needs nothing but NumPy: the peers' environments have no more."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NEAREST = 10

Search = Callable[[NDArray[np.float32]], Sequence[int]]
"""One query, (D,), to the numbers of its ten nearest vectors."""

WARM = 200
"""Searches before the first one that counts."""


@dataclass(frozen=True)
class Latency:
    """What searches took.

    Attributes:
        clients: threads that searched at once.
        p50: milliseconds.
        p99: milliseconds.
        per_second: searches a second, of all clients together.
    """

    clients: int
    p50: float
    p99: float
    per_second: float

    def to_json(self) -> dict[str, float]:
        """As it is written into results."""
        return asdict(self)


def measure(search: Search, queries: NDArray[np.float32], *, clients: int, seconds: float) -> Latency:
    """Let some threads search one query after another for a while."""
    for query in queries[:WARM]:
        search(query)
    spent: list[list[float]] = [[] for _ in range(clients)]
    barrier = threading.Barrier(clients + 1)

    def work(number: int) -> None:
        mine, place = spent[number], number * len(queries) // clients
        barrier.wait()
        end = time.perf_counter() + seconds
        now = 0.0
        while now < end:
            began = time.perf_counter()
            search(queries[place % len(queries)])
            now = time.perf_counter()
            mine.append(now - began)
            place += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - began
    every = np.concatenate([np.array(each) for each in spent])
    p50, p99 = np.percentile(every, [50, 99]) * 1000
    return Latency(clients, float(p50), float(p99), len(every) / total)


def recall(search: Search, queries: NDArray[np.float32], nearest: NDArray[np.int64]) -> float:
    """Which share of the ten nearest, (Q, 10), is found."""
    found = [len(set(search(query)) & set(rows.tolist())) for query, rows in zip(queries, nearest, strict=True)]
    return sum(found) / nearest.size


def anonymous_bytes() -> int:
    """Memory that this process has for itself: without files that are mapped, such as its programs."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(kib) * 1024
