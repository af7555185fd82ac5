"""Exact nearest neighbours in a matrix of its own: by FAISS for few queries, by one matrix product for many.

The product reads the vectors once for all queries. Its squared distances come out as |x|^2 + |y|^2 - 2xy, which in
float32 loses the digits of small ones. So what it finds are candidates only, together with how near any other row can
be at most.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.store.index.exact import NOTHING, ROUNDING, SPARE, Neighbours, nearest, rank
from service.store.index.faiss import faiss, omp_threads, selecting

__all__ = ["FAISS_QUERIES", "Candidates", "FlatIndex", "Product", "least_rows"]

# Rows are scanned in so many strides: first the least of each position over all of them, then the best positions.
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


# Up to so many queries FAISS goes through the vectors one by one, with small rounding errors. For more (20; in later
# versions it also counts the dimension) it would use a matrix product of its own, without leave to look at some rows
# only, and without cached norms.
FAISS_QUERIES = 16

# From so many queries on a matrix product takes less time, and at 32 a third of it.
PRODUCT_FROM = 6

# Queries of one product: bounds its memory, N numbers for each.
PRODUCT_QUERIES = 32


class FaissFlat(Protocol):
    """What is used of `faiss.IndexFlatL2`."""

    d: int
    ntotal: int

    def search(
        self, x: NDArray[np.float32], k: int, *, params: object
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distances and rows, both (B, k), nearest first; row -1 where there is none."""
        ...

    def get_xb(self) -> object:
        """A C pointer to the vectors."""
        ...


class FlatIndex:
    """An immutable matrix of vectors, (N, D) float32, and the exact search in it.

    Candidates are found in float32, by FAISS for a few queries and by a matrix product for many; their distances are
    then worked out in float64, so that equal vectors have distance 0, and equal distances come in the order of rows.
    Searching is safe from many threads at once.
    """

    def __init__(self, index: FaissFlat, *, threads: int = 1) -> None:
        """Take over `index`. `threads` is how many one search may use; few gain from more than one."""
        self._index = index
        self._threads = threads
        self.size = int(index.ntotal)
        self.dimension = int(index.d)
        self._vectors = vectors_of(index)
        self._product = Product(self._vectors)

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, threads: int = 1) -> "FlatIndex":
        """An index of a copy of `vectors`, (N, D)."""
        index = faiss.IndexFlatL2(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index, threads=threads)

    @classmethod
    def from_bytes(cls, data: memoryview, *, threads: int = 1) -> "FlatIndex":
        """Read FAISS's own format, which is not safe to read from damaged bytes: check them before."""
        index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        kind = type(index).__name__
        if kind != "IndexFlatL2":
            raise ValueError(f"a {kind}, not an IndexFlatL2")
        return cls(index, threads=threads)

    def to_bytes(self) -> bytes:
        """FAISS's own format."""
        return bytes(faiss.serialize_index(self._index).tobytes())

    @property
    def matrix(self) -> NDArray[np.float32]:
        """All vectors, (N, D), read-only: the index's own memory, to be used only as long as the index is held."""
        return self._vectors

    def vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """A copy of some rows, (len(rows), D)."""
        chosen: NDArray[np.float32] = self._vectors[rows]
        return chosen

    def columns(self, start: int, stop: int) -> "FlatIndex":
        """An index of one slice of every vector."""
        return FlatIndex.of(self._vectors[:, start:stop], threads=self._threads)

    def search(self, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None = None) -> list[Neighbours]:
        """The k nearest rows of each query; fewer only where there are fewer.

        Args:
            queries: (B, D) float32, finite.
            k: at least 1.
            mask: (N,), True for the rows to look at; None for all.
        """
        available = self.size if mask is None else int(np.count_nonzero(mask))
        k = min(k, available)
        if k == 0:
            return [NOTHING for _ in queries]
        by_product = len(queries) >= PRODUCT_FROM and self._product.fits(queries)
        step = PRODUCT_QUERIES if by_product else FAISS_QUERIES
        answers: list[Neighbours] = []
        for start in range(0, len(queries), step):
            some = np.ascontiguousarray(queries[start : start + step])
            fetch = min(k + SPARE, available)
            found = self._product.search(some, fetch, mask) if by_product else self._ask_faiss(some, fetch, mask)
            floor = found.floor
            if fetch == available:  # then nothing is beyond them, unless FAISS found fewer
                floor = np.where(found.rows.min(axis=1) < 0, -np.inf, np.inf)
            answers += self._verify(some, rank(self._vectors, some, found.rows, k), floor, mask)
        return answers

    def _verify(
        self,
        queries: NDArray[np.float32],
        ranked: list[Neighbours],
        floors: NDArray[np.float64],
        mask: NDArray[np.bool_] | None,
    ) -> list[Neighbours]:
        """`ranked`, with those put right for which a row that is no candidate may belong among the neighbours."""
        verified = []
        for query, answer, floor in zip(queries, ranked, floors.tolist(), strict=True):
            last = float(answer.distances[-1])
            if floor > last * last:
                verified.append(answer)
            elif len(queries) > 1:  # alone it goes to FAISS, whose errors are far smaller
                verified += self.search(query[None], len(answer.rows), mask)
            else:
                verified.append(self.exact(query, len(answer.rows), mask))
        return verified

    def _ask_faiss(self, queries: NDArray[np.float32], count: int, mask: NDArray[np.bool_] | None) -> Candidates:
        with omp_threads(self._threads):
            squared, rows = self._index.search(queries, count, params=None if mask is None else selecting(mask))
        # One subtraction, one square, D additions. Where a square overflowed FAISS gives row -1, and no floor.
        error = (self.dimension + 3) * ROUNDING
        floor = np.where(rows[:, -1] < 0, -np.inf, squared[:, -1] * (1.0 - error))
        return Candidates(rows, floor)

    def exact(self, query: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `search` for one query, (D,), by the definition: every distance is worked out, in float64."""
        rows = np.arange(self.size) if mask is None else np.flatnonzero(mask)
        return nearest(self._vectors, query, k, rows)


def vectors_of(index: FaissFlat) -> NDArray[np.float32]:
    """The vectors within `index`, (N, D): its own memory, which lives as long as the index does."""
    count, dimension = int(index.ntotal), int(index.d)
    flat = faiss.rev_swig_ptr(index.get_xb(), count * dimension) if count else np.empty(0, dtype=np.float32)
    flat.flags.writeable = False
    vectors: NDArray[np.float32] = flat.reshape(count, dimension)
    return vectors
