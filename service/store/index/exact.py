"""Exact nearest neighbours, and what all indexes share: neighbours, selections of rows, distances, FAISS's threads.

Candidates are found in float32, together with how near any other row can be at most; their distances are then worked
out in float64, so that equal vectors have distance 0, and equal distances come in the order of rows. A few queries are
compared by FAISS, which subtracts before it squares. Many are compared by one product of matrices, which reads the
vectors once for all of them, and so are queries with weights, whatever these are:

    d(x, y)^2 = sum_c w_c |x_c - y_c|^2 = sum_c w_c |x_c|^2  +  2 (sum_c w_c |y_c|^2 / 2  -  sum_c w_c x_c.y_c)

In float32 that loses the digits of small distances. What it leaves in doubt FAISS decides, or the definition.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

from service.store.base import ROUNDING, Weights, scale_of

# What stubs FAISS has describe the C++ functions, not the Python layer over them.
faiss: Any = untyped_faiss

Vectors = NDArray[np.float32]
"""(N, D), or (N, d) of a slice."""

SPARE = 16
"""Candidates beyond k, so that the end of a tie at the k-th rank is seen in nearly all catalogues."""

DEFINED_AT_ONCE = 8192
"""Rows whose distances are computed by the definition at once, which bounds the memory."""

COPIED_AT_ONCE = 2**16
"""Rows of a slice that are copied at once, as FAISS wants them side by side; whole vectors are read where they are."""

COPIED_SHARE = 1 / 16
"""Share of the rows up to which a selection is copied and searched by itself."""

FAISS_QUERIES = 16
"""Queries up to which FAISS goes through the vectors one by one, with small rounding errors.

For more (20; later versions count the dimension too) it would use a product itself, which can't look at some rows only.
"""

PRODUCT_FROM = 6
"""Queries from which a product takes less time; at 32 it takes a third."""

PRODUCT_QUERIES, PRODUCT_NUMBERS = 32, 2**25
"""Queries of one product, and numbers that it may have: it has one for each query and row."""

SAFE_LENGTHS, LEAST_SHARE = (1e-12, 1e18), 1e-12
"""Lengths whose products are far from the ends of float32's range, and the least share of the largest weight."""

STRIDES = 64
"""Strides in which `least_rows` reads a column."""


@contextmanager
def omp_threads(count: int) -> Iterator[None]:
    """Let FAISS use `count` threads for what this thread asks of it.

    OpenMP keeps the number for each thread that calls it, so setting it once at the start would not reach the threads
    of a server; and where torch shares the OpenMP library, it must find its own number again.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Neighbours(NamedTuple):
    """Rows nearest to one query, nearest first, ties by row; `rows: (n,) int64`, `distances: (n,) float64`."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


class Selection:
    """Some of N rows. Immutable; either form is worked out from the other when it is first asked for."""

    def __init__(
        self, size: int, *, rows: NDArray[np.integer] | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Take one of the two: `rows`, ascending, each once; or `mask`, (N,), True for the rows to look at."""
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


def distances_of(
    vectors: Vectors, queries: Vectors, rows: NDArray[np.integer], factors: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Euclidean distance in float64 of each query, (B, D), from its own rows, (B, F), of `vectors`, (N, D): (B, F).

    `factors`, (D,): of the vectors times these.
    """
    differences = vectors[rows] - queries.astype(np.float64)[:, None, :]
    if factors is not None:
        differences *= factors
    squared: NDArray[np.float64] = np.square(differences, out=differences).sum(axis=2)
    return np.sqrt(squared, out=squared)


def rank(
    vectors: Vectors, queries: Vectors, rows: NDArray[np.int64], k: int, factors: NDArray[np.float64] | None = None
) -> list[Neighbours]:
    """The k nearest among each query's own rows, (B, F), -1 where there is none, exactly; see `distances_of`."""
    distances = np.where(rows < 0, np.inf, distances_of(vectors, queries, rows, factors))
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    near, far = np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
    return [Neighbours(*pair) for pair in zip(near, far, strict=True)]


def nearest(
    vectors: Vectors, query: Vectors, k: int, rows: NDArray[np.integer], factors: NDArray[np.float64] | None = None
) -> Neighbours:
    """The k nearest of some rows to a query, (D,), by the definition: every distance is worked out, in float64."""
    distances = np.empty(len(rows))
    for start in range(0, len(rows), DEFINED_AT_ONCE):
        part = slice(start, start + DEFINED_AT_ONCE)
        distances[part] = distances_of(vectors, query[None], rows[None, part], factors)[0]
    order = np.lexsort((rows, distances))[:k]
    return Neighbours(rows[order].astype(np.int64), distances[order])


class Candidates(NamedTuple):
    """Rows that hold the nearest ones of B queries.

    Attributes:
        rows: (B, F) int64, in no order; -1 where there is none.
        floor: (B,) float64; every row that is not among a query's candidates has at least this squared distance.
    """

    rows: NDArray[np.int64]
    floor: NDArray[np.float64]


class ExactIndex:
    """The exact search in vectors, (N, D) float32, which are shared and not copied: perhaps a slice of wider ones.

    Immutable. Safe in many threads at once.
    """

    def __init__(
        self, vectors: Vectors, slices: Mapping[str, tuple[int, int]] | None = None, *, threads: int = 1
    ) -> None:
        """Take vectors, the slices that may be given weights, name -> (start, stop), and how many threads to use."""
        self.vectors, self._slices, self._threads = vectors, dict(slices or {}), threads

    def search(
        self, queries: Vectors, k: int, selection: Selection | None = None, weights: Weights | None = None
    ) -> list[Neighbours]:
        """The k nearest rows of each query; fewer only where there are fewer.

        Args:
            queries: (B, D) float32, finite.
            k: at least 1.
            selection: the rows to look at; None for all.
            weights: of slices, as `service.store.base.check_weights` lets pass; None compares whole vectors.
        """
        available = len(self.vectors) if selection is None else selection.count
        if (k := min(k, available)) == 0:
            return [Neighbours(np.empty(0, np.int64), np.empty(0)) for _ in queries]
        if selection is not None and available <= len(self.vectors) * COPIED_SHARE:
            part = ExactIndex(self.vectors[selection.rows], self._slices, threads=self._threads)
            found = part.search(queries, k, weights=weights)
            return [Neighbours(selection.rows[each.rows].astype(np.int64), each.distances) for each in found]
        scale = None if weights is None else Scale.of(weights, self._slices, self.vectors.shape[1])
        step = min(PRODUCT_QUERIES, PRODUCT_NUMBERS // len(self.vectors))
        by_product = min(step, len(queries)) >= PRODUCT_FROM or scale is not None
        if not (by_product and self._fits(queries, scale)):
            by_product, step = False, FAISS_QUERIES
        return [
            each
            for start in range(0, len(queries), step or 1)
            for each in self._search(queries[start : start + (step or 1)], k, selection, scale, by_product=by_product)
        ]

    def _search(
        self, queries: Vectors, k: int, selection: Selection | None, scale: "Scale | None", *, by_product: bool
    ) -> list[Neighbours]:
        """The same for as many queries as are answered at once."""
        every = np.arange(len(self.vectors)) if selection is None else selection.rows
        if scale is not None and not by_product:
            return [scale.apply(nearest(self.vectors, query, k, every, scale.factors)) for query in queries]
        mask, fetch = None if selection is None else selection.mask, min(k + SPARE, len(every))
        found = (self._ask_product if by_product else self._ask_faiss)(queries, fetch, mask, scale)
        is_all = (fetch == len(every)) & (found.rows.min(axis=1) >= 0)  # FAISS may find fewer
        floors = np.where(is_all, np.inf, found.floor)
        factors = None if scale is None else scale.factors
        answers = []
        ranked = rank(self.vectors, queries, found.rows, k, factors)
        for query, answer, floor in zip(queries, ranked, floors.tolist(), strict=True):
            if float(answer.distances[-1]) ** 2 < floor:
                answers.append(answer)
            elif by_product and scale is None:  # FAISS's errors are far smaller
                answers += self.search(query[None], k, selection)
            else:
                answers.append(nearest(self.vectors, query, k, every, factors))
        return answers if scale is None else [scale.apply(answer) for answer in answers]

    def _ask_faiss(
        self, queries: Vectors, count: int, mask: NDArray[np.bool_] | None, _scale: "Scale | None"
    ) -> Candidates:
        size, dimension = self.vectors.shape
        asked = np.ascontiguousarray(queries)
        # Rows with a square that float32 can't hold are not found: they are at least as far as its largest number.
        squared, rows = np.empty((0, 0), np.float32), np.empty((0, 0), np.int64)
        step = size if self.vectors.flags.c_contiguous else COPIED_AT_ONCE
        for start in range(0, size, step):
            part = np.ascontiguousarray(self.vectors[start : start + step])
            far, near = np.empty((len(asked), count), np.float32), np.empty((len(asked), count), np.int64)
            arrays = [faiss.swig_ptr(array) for array in (asked, part, far, near)]
            chosen = None
            if mask is not None:
                chosen = faiss.IDSelectorBitmap(np.packbits(mask[start : start + step], bitorder="little"))
            with omp_threads(self._threads):
                faiss.knn_L2sqr(*arrays[:2], dimension, len(asked), len(part), count, *arrays[2:], None, chosen)
            far[near < 0] = np.finfo(np.float32).max
            near[near >= 0] += start
            if not start:
                squared, rows = far, near
                continue
            squared, rows = np.concatenate([squared, far], axis=1), np.concatenate([rows, near], axis=1)
            best = np.argpartition(squared, count - 1, axis=1)[:, :count]
            squared, rows = np.take_along_axis(squared, best, axis=1), np.take_along_axis(rows, best, axis=1)
        # One subtraction, one square, D additions.
        return Candidates(rows, squared.max(axis=1) * (1.0 - (dimension + 3) * ROUNDING))

    @cached_property
    def _squares(self) -> tuple[NDArray[np.float64], Vectors]:
        """Of the whole vectors and of each of the C slices: the longest's square, (1 + C,), and halves, (1 + C, N)."""
        parts = [(0, self.vectors.shape[1]), *self._slices.values()]
        squares = np.empty((len(parts), len(self.vectors)))
        for row, (start, stop) in enumerate(parts):
            part = self.vectors[:, start:stop]
            squares[row] = np.einsum("nd,nd->n", part, part, dtype=np.float64)
        with np.errstate(over="ignore"):  # then `_fits` says no
            return squares.max(axis=1, initial=0.0), (squares / 2).astype(np.float32)

    def _longest(self, scale: "Scale | None") -> float:
        longest = self._squares[0]
        return sqrt(float(longest[0] if scale is None else longest[1:] @ scale.shares))

    def _fits(self, queries: Vectors, scale: "Scale | None") -> bool:
        """Whether no product of these queries, (B, D), with the vectors leaves the range of float32."""
        least, most = SAFE_LENGTHS
        is_safe = least < self._longest(scale) < most and (scale is None or scale.least >= LEAST_SHARE)
        return is_safe and bool((lengths_of(queries, scale) < most).all())

    def _ask_product(
        self, queries: Vectors, count: int, mask: NDArray[np.bool_] | None, scale: "Scale | None"
    ) -> Candidates:
        halves, longest, lengths = self._squares[1], self._longest(scale), lengths_of(queries, scale)
        if scale is None:
            half = halves[0]
        else:
            half = scale.shares.astype(np.float32) @ halves[1:]
            queries = (queries * np.square(scale.factors)).astype(np.float32)
        if mask is not None:
            half = np.where(mask, half, np.float32(np.inf))
        scores = self.vectors @ queries.T  # (N, B): xy
        np.subtract(half[:, None], scores, out=scores)  # |y|^2 / 2 - xy: the squared distance but for |x|^2, halved
        rows = least_rows(scores, count)  # (B, F)
        last = scores[rows, np.arange(len(queries))[:, None]].max(axis=1).astype(np.float64)
        # D + 1 roundings of the product, one each of the query, the shares and the difference, and one for each slice,
        # at most |x||y| each (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1).
        roundings = self.vectors.shape[1] + len(self._slices) + 5
        error = roundings * ROUNDING * longest * (lengths + longest)
        return Candidates(rows, lengths * lengths + 2.0 * (last - error))


@dataclass(frozen=True)
class Scale:
    """Weights as shares of the largest one, so that no square leaves the range of numbers.

    Attributes:
        unit: what distances by the shares are multiplied by to be those by the weights.
        shares: (C,) float64, of each slice of the store.
        factors: (D,) float64; see `scale_of`.
        least: the least share that is above 0.
    """

    unit: float
    shares: NDArray[np.float64]
    factors: NDArray[np.float64]
    least: float

    @classmethod
    def of(cls, weights: Weights, slices: Mapping[str, tuple[int, int]], dimension: int) -> "Scale":
        """The scale of weights of some of the slices of vectors of `dimension` numbers."""
        largest = max(weights.values())
        shares = {name: weight / largest for name, weight in weights.items()}
        return cls(
            unit=sqrt(largest),
            shares=np.array([shares.get(name, 0.0) for name in slices]),
            factors=scale_of(shares, slices, dimension),
            least=min(share for name, share in shares.items() if weights[name] > 0),
        )

    def apply(self, found: Neighbours) -> Neighbours:
        """Neighbours by the shares as those by the weights."""
        return Neighbours(found.rows, found.distances * self.unit)


def lengths_of(queries: Vectors, scale: Scale | None) -> NDArray[np.float64]:
    """The lengths of queries, (B, D), by a scale: (B,)."""
    lengths: NDArray[np.float64] = np.linalg.norm(
        queries.astype(np.float64) * (1.0 if scale is None else scale.factors), axis=1
    )
    return lengths


def least_rows(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The rows of the `count` least numbers of each column of (N, B), in no order: (B, count).

    A partition of all of a column would take longer than the product did. But the least numbers are where the least
    of some position over all strides is, and that goes at the speed of the memory.
    """
    total, columns = scores.shape
    positions = total // STRIDES
    if positions <= count:
        return np.argpartition(scores, count - 1, axis=0)[:count].T
    strided = scores[: positions * STRIDES].reshape(STRIDES, positions, columns)
    least = np.ascontiguousarray(strided.min(axis=0).T)  # (B, positions)
    best = np.argpartition(least, count - 1, axis=1)[:, :count]
    rows = (best[:, None, :] + np.arange(STRIDES)[:, None] * positions).reshape(columns, -1)
    rest = np.broadcast_to(np.arange(positions * STRIDES, total), (columns, total - positions * STRIDES))
    rows = np.concatenate([rows, rest], axis=1)
    values = scores[rows, np.arange(columns)[:, None]]
    chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
    return np.take_along_axis(rows, chosen, axis=1)
