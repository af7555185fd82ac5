"""How far an inverted index must look so that it finds nearly all that is there: measured, on the vectors themselves.

Rows are drawn, and the neighbours of each are worked out exactly, leaving out the row itself. Then more and more lists
are looked into, and among more and more candidates, until the share of those neighbours that is found is high enough;
of the ways to get there the fastest is taken. Other rows then tell how much it really finds.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from service.store.inverted import InvertedIndex, Stopped, never
from service.store.library import faiss, omp_threads
from service.store.neighbours import SPARE, distances_of, rank

__all__ = ["DEPTHS", "RECALL_DEPTH", "Setting", "Tuned", "tune"]

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

RECALL_DEPTH = 10
"""Of the neighbours whose recall is reported."""

DEPTHS = (16, 128, 1024)
"""Neighbours that a search may want, and rows that are drawn for each: `SAMPLES`. A search takes the next larger."""

SAMPLES = (400, 128, 64)

MARGIN = 0.25
"""What is found less than all is kept below what it may be by this share, as the rows drawn may be easy ones."""

WAYS = 3
"""Numbers of lists to compare, from the least that does."""

TIMED = 48
"""Searches that tell how long one takes."""

ROWS_AT_ONCE = 2**16
QUERIES_AT_ONCE = 16


@dataclass(frozen=True)
class Setting:
    """How to look for neighbours.

    Attributes:
        depth: how many neighbours it is for, at most.
        probes: lists to look into.
        candidates: rows whose exact distance is worked out.
        recall: the share of that many neighbours that it finds.
    """

    depth: int
    probes: int
    candidates: int
    recall: float


@dataclass(frozen=True)
class Tuned:
    """An inverted index that is known to find enough.

    Attributes:
        index: what gives candidates.
        settings: by depth, ascending.
        recall: recall@10 with the first of them, on rows that it was not tuned on.
    """

    index: InvertedIndex
    settings: tuple[Setting, ...]
    recall: float


@dataclass(frozen=True)
class Sample:
    """Q rows drawn, and how far their neighbours are.

    Attributes:
        rows: (Q,) int64.
        queries: (Q, D) float32.
        radii: depth -> (Q,) float64, the distance of the neighbour at that place.
    """

    rows: NDArray[np.int64]
    queries: Vectors
    radii: dict[int, NDArray[np.float64]]


def tune(
    index: InvertedIndex, vectors: Vectors, minimum: float, *, stop: Callable[[], bool] = never, seed: int = 0
) -> Tuned | None:
    """Settings with which the index finds at least `minimum` of all neighbours; None if there are none for the fewest.

    Args:
        index: of `vectors`.
        vectors: (N, D), at least two.
        minimum: in [0, 1].
        stop: is asked now and then whether to give up.
        seed: of the rows that are drawn.

    Raises:
        Stopped: it was.
    """
    rng = np.random.default_rng(seed)
    settings: list[Setting] = []
    recall = 0.0
    for depth, size in zip(DEPTHS, SAMPLES, strict=True):
        if depth >= len(vectors):
            break
        depths = [depth, min(depth, RECALL_DEPTH)]
        first, second = (draw_sample(vectors, size, depths, rng, stop) for _ in range(2))
        found = find_setting(index, vectors, depth, minimum, first=first, second=second)
        if found is None:
            break
        settings.append(found)
        if len(settings) == 1:
            recall = float(
                recalls(index, vectors, second, depth=depths[1], probes=found.probes, most=found.candidates)[-1]
            )
    if not settings or recall < minimum:
        return None
    return Tuned(index, tuple(settings), recall)


def draw_sample(
    vectors: Vectors, size: int, depths: list[int], rng: np.random.Generator, stop: Callable[[], bool]
) -> Sample:
    """Draw rows, and work out how far their neighbours are."""
    rows = np.sort(rng.choice(len(vectors), min(size, len(vectors)), replace=False))
    queries = np.ascontiguousarray(vectors[rows])
    distances = neighbour_distances(vectors, rows, queries, max(depths), stop)
    return Sample(rows, queries, {depth: distances[:, depth - 1] for depth in depths})


def neighbour_distances(
    vectors: Vectors, rows: NDArray[np.int64], queries: Vectors, k: int, stop: Callable[[], bool]
) -> NDArray[np.float64]:
    """The distances of the k nearest to each of some rows, itself left out, nearest first: (Q, k)."""
    fetch = k + 1 + SPARE
    best_squared = np.full((len(rows), fetch), np.inf, dtype=np.float32)
    best_rows = np.full((len(rows), fetch), -1, dtype=np.int64)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        if stop():
            raise Stopped
        part = np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE])
        with omp_threads(1):
            squared, near = faiss.knn(queries, part, min(fetch, len(part)))
        squared = np.concatenate([best_squared, squared], axis=1)
        near = np.concatenate([best_rows, near + start], axis=1)
        chosen = np.argpartition(squared, fetch - 1, axis=1)[:, :fetch]
        best_squared = np.take_along_axis(squared, chosen, axis=1)
        best_rows = np.take_along_axis(near, chosen, axis=1)
    best_rows[best_rows == rows[:, None]] = -1
    spans = list(in_parts(len(rows)))
    return np.stack([each.distances for span in spans for each in rank(vectors, queries[span], best_rows[span], k)])


def find_setting(
    index: InvertedIndex, vectors: Vectors, depth: int, minimum: float, *, first: Sample, second: Sample
) -> Setting | None:
    """The fastest way to find enough of a sample's neighbours, and of a second sample's too; None if there is none."""
    goal = minimum + MARGIN * (1.0 - minimum)
    most = 4 * depth + 256
    ways: list[tuple[float, Setting]] = []
    for probes in probes_to_try(index.lists):
        curve = recalls(index, vectors, first, depth=depth, probes=probes, most=most)
        if curve[-1] < goal and probes < index.lists:
            continue
        # The lists may all have been looked into: then it finds what its codes let it find.
        candidates = max(depth, min(int(np.searchsorted(curve, goal)) + 1, most))
        recall = float(recalls(index, vectors, second, depth=depth, probes=probes, most=candidates)[-1])
        if recall < minimum:
            continue
        setting = Setting(depth, probes, candidates, recall)
        ways.append((seconds_of(index, vectors, second.queries, setting), setting))
        if len(ways) == WAYS:
            break
    return min(ways, key=lambda way: way[0])[1] if ways else None


def recalls(
    index: InvertedIndex, vectors: Vectors, sample: Sample, *, depth: int, probes: int, most: int
) -> NDArray[np.float64]:
    """The share of the neighbours that is among the first c candidates, for c = 1 to `most`: (most,), ascending.

    A candidate counts if it is not farther than the neighbour at the last place: of equal vectors any will do.
    """
    # One more, as the row itself is among them.
    rows = np.concatenate(
        [index.candidates(sample.queries[span], most + 1, probes=probes) for span in in_parts(len(sample.rows))]
    )
    distances = np.concatenate(
        [distances_of(vectors, sample.queries[span], rows[span]) for span in in_parts(len(sample.rows))]
    )
    itself = (rows < 0) | (rows == sample.rows[:, None])
    near = (distances <= sample.radii[depth][:, None]) & ~itself
    found = np.minimum(np.cumsum(near, axis=1), depth)
    curve: NDArray[np.float64] = found[:, 1:].mean(axis=0) / depth
    return curve


def seconds_of(index: InvertedIndex, vectors: Vectors, queries: Vectors, setting: Setting) -> float:
    """How long one search takes, the median of some."""
    spent = []
    for query in queries[:TIMED, None]:
        began = perf_counter()
        rank(vectors, query, index.candidates(query, setting.candidates, probes=setting.probes), setting.depth)
        spent.append(perf_counter() - began)
    return float(np.median(spent))


def probes_to_try(lists: int) -> Iterator[int]:
    """Numbers of lists, each larger by about a third than the one before, up to all of them."""
    probes = 1
    while probes < lists:
        yield probes
        probes = max(probes + 1, round(probes * 4 / 3))
    yield lists


def in_parts(count: int) -> Iterator[slice]:
    """Slices of a few queries each, which bound the memory."""
    for start in range(0, count, QUERIES_AT_ONCE):
        yield slice(start, start + QUERIES_AT_ONCE)
