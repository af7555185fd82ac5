"""Nearest neighbours of many queries at once, by one matrix product: the vectors are read once for all of them.

Squared distances come out as |x|^2 + |y|^2 - 2xy, which in float32 loses the digits of small ones. So what is found are
candidates only, together with how near any other row can be at most.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.store.neighbours import ROUNDING

__all__ = ["Candidates", "Product", "least_rows"]

# Rows are looked through in so many strides: the least of each stride's place first, then all of the best places.
STRIDES = 64

# Lengths whose products are far from the ends of float32's range.
SAFE_LENGTHS = (1e-12, 1e18)


class Candidates(NamedTuple):
    """Rows that hold the nearest ones of B queries.

    Attributes:
        rows: (B, F) int64, in no order; -1 where there is none.
        floor: (B,) float64; every row that is not among a query's candidates has at least this squared distance.
    """

    rows: NDArray[np.int64]
    floor: NDArray[np.float64]


class Product:
    """What a matrix of vectors, (N, D) float32, needs for it. Searching is safe from many threads at once."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        self._longest = float(np.sqrt(squares.max(initial=0.0)))
        with np.errstate(over="ignore"):  # then `fits` says no
            self._half_squares = (squares / 2).astype(np.float32)[:, None]

    def fits(self, queries: NDArray[np.float32]) -> bool:
        """Whether no product of these queries, (B, D), with the vectors leaves the range of float32."""
        least, most = SAFE_LENGTHS
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        return least < self._longest < most and bool((lengths < most).all())

    def search(self, queries: NDArray[np.float32], count: int, mask: NDArray[np.bool_] | None = None) -> Candidates:
        """Find `count` candidates for each query.

        Args:
            queries: (B, D) float32, such as `fits` lets pass.
            count: F, 1 to the number of rows that are looked at.
            mask: (N,), True for the rows to look at; None for all.
        """
        scores = self._vectors @ queries.T  # (N, B): xy
        half = self._half_squares if mask is None else np.where(mask[:, None], self._half_squares, np.float32(np.inf))
        np.subtract(half, scores, out=scores)  # |y|^2 / 2 - xy: the squared distance but for |x|^2, halved
        rows = least_rows(scores, count)  # (B, F)
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        last = scores[rows, np.arange(len(queries))[:, None]].max(axis=1).astype(np.float64)
        # D + 1 roundings of the product and of the difference, at most |x||y| each, and two of the norm (Higham,
        # "Accuracy and Stability of Numerical Algorithms", section 3.1).
        error = (self._vectors.shape[1] + 2) * ROUNDING * self._longest * (lengths + self._longest)
        return Candidates(rows, lengths * lengths + 2.0 * (last - error))


def least_rows(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The rows of the `count` least numbers of each column of (N, B), in no order: (B, count).

    A partition of all of a column would take longer than the product did. But the least numbers are where the least
    of some place over all strides is, and that goes at the speed of the memory.
    """
    total, columns = scores.shape
    places = total // STRIDES
    if places <= count:
        return np.argpartition(scores, count - 1, axis=0)[:count].T
    strided = scores[: places * STRIDES].reshape(STRIDES, places, columns)
    least = np.ascontiguousarray(strided.min(axis=0).T)  # (B, places)
    best = np.argpartition(least, count - 1, axis=1)[:, :count]
    rows = (best[:, None, :] + np.arange(STRIDES)[:, None] * places).reshape(columns, -1)
    rest = np.broadcast_to(np.arange(places * STRIDES, total), (columns, total - places * STRIDES))
    rows = np.concatenate([rows, rest], axis=1)
    values = scores[rows, np.arange(columns)[:, None]]
    chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
    return np.take_along_axis(rows, chosen, axis=1)
