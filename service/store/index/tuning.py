"""Tuning of an inverted index: the search parameters that reach a recall, measured on the vectors themselves.

Two kinds of queries are drawn: rows, whose neighbours are then all others; and what lies halfway between two rows, as
strange to a catalogue as a picture may be that is none of it. The neighbours of each are worked out exactly. Then more
and more lists are looked into, and among more and more candidates, until the share of those neighbours that is found is
high enough for both kinds; of the ways to get there the fastest is taken. Its recall is measured with other queries,
and where that is too little, it looks further.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from service.store.index.exact import SPARE, Vectors, distances_of, faiss, omp_threads, rank
from service.store.index.ivf import InvertedIndex, Setting, Stopped, Tuned, never

RECALL_DEPTH = 10
"""Depth of the recall that is reported: recall@10."""

DEPTHS = (16, 128, 1024)
"""Numbers of neighbours that settings are tuned for; a search takes the next larger."""

SAMPLES = (256, 96, 48)
"""Sample queries of each kind, for each depth."""

MARGIN = 0.25
"""Share by which misses are kept below what is allowed, as the queries drawn may be easy ones."""

WAYS = 3
"""Numbers of probed lists that are compared, from the least that reaches the recall."""

TIMED = 48
"""Searches whose median is the time that one takes."""

ROWS_AT_ONCE = 2**16
QUERIES_AT_ONCE = 16


@dataclass(frozen=True)
class Sample:
    """Q queries drawn, half of them of each kind, and how far their neighbours are.

    Attributes:
        rows: (Q,) int64, the row that a query is, and that is not its own neighbour; -1 for one between two rows.
        queries: (Q, D) float32.
        radii: depth -> (Q,) float64, the distance of the neighbour at that rank.
    """

    rows: NDArray[np.int64]
    queries: Vectors
    radii: dict[int, NDArray[np.float64]]


def tune(index: InvertedIndex, vectors: Vectors, minimum: float, *, stop: Callable[[], bool] = never) -> Tuned | None:
    """Settings with which the index finds at least `minimum` of all neighbours; None if there are none for the fewest.

    Args:
        index: of `vectors`.
        vectors: (N, D), at least two.
        minimum: in [0, 1].
        stop: is asked now and then whether to give up.

    Raises:
        Stopped: it was.
    """
    rng = np.random.default_rng(0)
    settings: list[Setting] = []
    recall = 0.0
    for depth, size in zip(DEPTHS, SAMPLES, strict=True):
        if depth >= len(vectors):
            break
        depths = [depth, RECALL_DEPTH]
        first, second = (draw_sample(vectors, size, depths, rng, stop) for _ in range(2))
        found = find_setting(index, vectors, depth, minimum, first=first, second=second)
        if found is None:
            break
        settings.append(found)
        if len(settings) == 1:
            recall = check(index, vectors, second, found.probes, found.candidates)[1]
    return Tuned(index, tuple(settings), recall) if settings else None


def draw_sample(
    vectors: Vectors, size: int, depths: list[int], rng: np.random.Generator, stop: Callable[[], bool]
) -> Sample:
    """Draw `size` queries of each kind, and work out how far their neighbours are."""
    rows, one, other = rng.integers(len(vectors), size=(3, size))
    queries = np.concatenate([vectors[rows], (vectors[one] + vectors[other]) / 2])
    rows = np.concatenate([rows, np.full(size, -1)])
    distances = neighbour_distances(vectors, rows, queries, max(depths), stop)
    return Sample(rows, queries, {depth: distances[:, depth - 1] for depth in depths})


def neighbour_distances(
    vectors: Vectors, rows: NDArray[np.int64], queries: Vectors, k: int, stop: Callable[[], bool]
) -> NDArray[np.float64]:
    """The distances of the k nearest to each query, its own row left out, nearest first: (Q, k)."""
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
    best_rows[best_rows == rows[:, None]] = -1  # where a query is no row, nothing changes
    spans = list(in_parts(len(rows)))
    return np.stack([each.distances for span in spans for each in rank(vectors, queries[span], best_rows[span], k)])


def find_setting(
    index: InvertedIndex, vectors: Vectors, depth: int, minimum: float, *, first: Sample, second: Sample
) -> Setting | None:
    """The fastest way to find enough of a sample's neighbours, and of a second sample's too; None if there is none."""
    for most in (4 * depth + 256, 16 * depth + 1024):  # the second takes long to try, and is hardly ever needed
        ways = find_ways(index, vectors, depth, minimum, most=most, first=first, second=second)
        if ways:
            return min(ways, key=lambda way: way[0])[1]
    return None


def find_ways(
    index: InvertedIndex, vectors: Vectors, depth: int, minimum: float, *, most: int, first: Sample, second: Sample
) -> list[tuple[float, Setting]]:
    """Ways with at most so many candidates that do, from the least number of lists: the seconds they take, and they."""
    goal = minimum + MARGIN * (1.0 - minimum)
    ways: list[tuple[float, Setting]] = []
    for probes in probes_to_try(index.lists):
        curve = recalls(index, vectors, first, depth=depth, probes=probes, most=most)
        if curve[-1] < goal and probes < index.lists:
            continue
        # Where not even all lists have what the goal wants, it is as many candidates as may be.
        candidates = max(depth, min(int(np.searchsorted(curve, goal)) + 1, most))
        found = check(index, vectors, second, probes, candidates)
        while min(found) < minimum and candidates < most:
            candidates = min(most, candidates + candidates // 4)
            found = check(index, vectors, second, probes, candidates)
        if min(found) >= minimum:
            setting = Setting(depth, probes, candidates, found[0])
            ways.append((seconds_of(index, vectors, second.queries, setting), setting))
        if len(ways) == WAYS:
            break
    return ways


def check(index: InvertedIndex, vectors: Vectors, sample: Sample, probes: int, candidates: int) -> list[float]:
    """The recall at each depth of the sample, with just so many candidates."""
    # Not read off the curve of more of them: among equal codes others may be found.
    return [
        float(recalls(index, vectors, sample, depth=depth, probes=probes, most=candidates)[-1])
        for depth in sample.radii
    ]


def recalls(
    index: InvertedIndex, vectors: Vectors, sample: Sample, *, depth: int, probes: int, most: int
) -> NDArray[np.float64]:
    """The share of the neighbours that is among the first c candidates, for c = 1 to `most`: (most,), ascending.

    That of the kind of queries for which it is lower. A candidate counts if it is not farther than the neighbour at the
    last rank: of equal vectors any will do.
    """
    # One more, as a query's own row is among them.
    rows = np.concatenate(
        [index.candidates(sample.queries[span], most + 1, probes=probes) for span in in_parts(len(sample.rows))]
    )
    distances = np.concatenate(
        [distances_of(vectors, sample.queries[span], rows[span]) for span in in_parts(len(sample.rows))]
    )
    itself = (rows < 0) | (rows == sample.rows[:, None])
    near = (distances <= sample.radii[depth][:, None]) & ~itself
    found = np.minimum(np.cumsum(near, axis=1), depth)
    own, between = found[:, 1:].reshape(2, -1, most).mean(axis=1) / depth
    curve: NDArray[np.float64] = np.minimum(own, between)
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
