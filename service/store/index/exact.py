"""Exact nearest neighbours by scanning rows, and the types that all indexes share."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NOTHING",
    "ROUNDING",
    "ROWS_AT_ONCE",
    "SPARE",
    "Neighbours",
    "Selection",
    "distances_of",
    "nearest",
    "rank",
    "scan",
]

Vectors = NDArray[np.float32]

ROUNDING = 2.0**-24
"""Unit roundoff of float32: the largest relative error of one operation."""

SPARE = 16
"""Candidates beyond k, so that the end of a tie at the k-th rank is seen in nearly all catalogues."""

ROWS_AT_ONCE = 8192
"""Rows whose distances are computed at once, which bounds the memory."""


class Neighbours(NamedTuple):
    """Rows nearest to one query, nearest first, ties by row; `rows: (n,) int64`, `distances: (n,) float64`."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


NOTHING = Neighbours(np.empty(0, np.int64), np.empty(0))


def distances_of(vectors: Vectors, queries: Vectors, rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """Euclidean distance in float64 of each query, (B, D), from its own rows, (B, F), of `vectors`, (N, D): (B, F)."""
    differences = vectors[rows] - queries.astype(np.float64)[:, None, :]
    squared: NDArray[np.float64] = np.square(differences, out=differences).sum(axis=2)
    return np.sqrt(squared, out=squared)


def rank(vectors: Vectors, queries: Vectors, rows: NDArray[np.int64], k: int) -> list[Neighbours]:
    """The k nearest among each query's own rows, exactly. `queries: (B, D)`, `rows: (B, F)`, -1 where there is none."""
    distances = np.where(rows < 0, np.inf, distances_of(vectors, queries, rows))
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    nearest, near = np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
    return [Neighbours(*pair) for pair in zip(nearest, near, strict=True)]


def nearest(vectors: Vectors, query: Vectors, k: int, rows: NDArray[np.integer]) -> Neighbours:
    """The k nearest of some rows, by the definition: every distance is worked out, in float64. `query: (D,)`."""
    distances = np.empty(len(rows))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        distances[part] = distances_of(vectors, query[None], rows[None, part])[0]
    order = np.lexsort((rows, distances))[:k]
    return Neighbours(rows[order].astype(np.int64), distances[order])


def scan(vectors: Vectors, queries: Vectors, k: int, rows: NDArray[np.integer]) -> list[Neighbours]:
    """The k nearest of some rows to each query, exactly; quicker than `nearest`, as it looks in float32 first.

    The vectors may be a slice of wider ones: only the chosen rows are copied.

    Args:
        vectors: (N, D).
        queries: (B, D), finite.
        k: at least 1.
        rows: (R,), ascending.
    """
    fetch = k + SPARE
    if len(rows) <= fetch:
        return [nearest(vectors, query, k, rows) for query in queries]
    squared = np.empty((len(queries), len(rows)), dtype=np.float32)
    with np.errstate(over="ignore"):  # such a row is as far as can be, and the floor below says so
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = vectors[rows[start : start + ROWS_AT_ONCE]]
            for position, query in enumerate(queries):
                difference = part - query
                squared[position, start : start + len(part)] = np.einsum("nd,nd->n", difference, difference)
    chosen = np.argpartition(squared, fetch, axis=1)[:, : fetch + 1]
    # One subtraction, one square, D additions: see `FlatIndex`. The farthest of the chosen is the first of the rest.
    floors = np.take_along_axis(squared, chosen, axis=1).max(axis=1) * (1.0 - (vectors.shape[1] + 3) * ROUNDING)
    ranked = rank(vectors, queries, rows[chosen].astype(np.int64), k)
    return [
        found if found.distances[-1] ** 2 < floor < np.inf else nearest(vectors, query, k, rows)
        for query, found, floor in zip(queries, ranked, floors.tolist(), strict=True)
    ]


class Selection:
    """Some of N rows. Immutable; either form is worked out from the other when it is first asked for."""

    def __init__(
        self, size: int, *, rows: NDArray[np.integer] | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Take one of the two, which is not to be changed afterwards.

        Args:
            size: N.
            rows: ascending, each once.
            mask: (N,), True for the rows to look at.
        """
        assert (rows is None) != (mask is None), "one of the two"
        self.size = size
        if rows is not None:
            self.rows, self.count = rows, len(rows)
        if mask is not None:
            self.mask, self.count = mask, int(np.count_nonzero(mask))

    @cached_property
    def rows(self) -> NDArray[np.integer]:
        """The rows' numbers, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(N,), True for the rows to look at."""
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self.rows] = True
        return mask

    def within(self, mask: NDArray[np.bool_]) -> "Selection":
        """Those of the rows for which `mask`, (N,), is True."""
        return Selection(self.size, rows=self.rows[mask[self.rows]])
