"""Exact nearest neighbours with FAISS: the only module that touches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

from service.store.product import ROUNDING, Candidates, Product

__all__ = ["FlatIndex", "Neighbours"]

# What stubs FAISS has describe the C++ functions, not the Python layer over them.
faiss: Any = untyped_faiss

# Up to so many queries FAISS goes through the vectors one by one, with small rounding errors. For more (20; in later
# versions it also counts the dimension) it would use a matrix product of its own, without leave to look at some rows
# only, and without cached norms.
FAISS_QUERIES = 16

# From so many queries on a matrix product takes less time, and at 32 a third of it.
PRODUCT_FROM = 6

# Queries of one product: bounds its memory, N numbers for each.
PRODUCT_QUERIES = 32

# Candidates beyond k: enough to see where a tie at the k-th place ends, in all but odd catalogues.
SPARE = 16

# Rows of which the exact distances are worked out at once; bounds the memory of `exact`.
ROWS_AT_ONCE = 8192


class Neighbours(NamedTuple):
    """Rows nearest to one query, nearest first, ties by row; `rows: (n,) int64`, `distances: (n,) float64`."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


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
        """Read FAISS's own format, which is not safe to read from damaged bytes: check them before.

        Raises:
            ValueError: it holds another kind of index.
        """
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
        """All vectors, (N, D): the index's own memory, read-only."""
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
            return [Neighbours(np.empty(0, np.int64), np.empty(0)) for _ in queries]
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
            answers += self._settle(some, rank(self._vectors, some, found.rows, k), floor, mask)
        return answers

    def _settle(
        self,
        queries: NDArray[np.float32],
        ranked: list[Neighbours],
        floors: NDArray[np.float64],
        mask: NDArray[np.bool_] | None,
    ) -> list[Neighbours]:
        """`ranked`, with those put right for which a row that is no candidate may belong among the neighbours."""
        settled = []
        for query, answer, floor in zip(queries, ranked, floors.tolist(), strict=True):
            last = float(answer.distances[-1])
            if floor > last * last:
                settled.append(answer)
            elif len(queries) > 1:  # alone it goes to FAISS, whose errors are far smaller
                settled += self.search(query[None], len(answer.rows), mask)
            else:
                settled.append(self.exact(query, len(answer.rows), mask))
        return settled

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
        distances = np.empty(len(rows))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            distances[part] = distances_of(self._vectors, query[None], rows[None, part])[0]
        order = np.lexsort((rows, distances))[:k]
        return Neighbours(rows[order], distances[order])


def rank(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> list[Neighbours]:
    """The k nearest among each query's own rows, exactly. `queries: (B, D)`, `rows: (B, F)`, -1 where there is none."""
    distances = np.where(rows < 0, np.inf, distances_of(vectors, queries, rows))
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    nearest, near = np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
    return [Neighbours(*pair) for pair in zip(nearest, near, strict=True)]


def vectors_of(index: FaissFlat) -> NDArray[np.float32]:
    """The vectors within `index`, (N, D): its own memory, which lives as long as the index does."""
    count, dimension = int(index.ntotal), int(index.d)
    flat = faiss.rev_swig_ptr(index.get_xb(), count * dimension) if count else np.empty(0, dtype=np.float32)
    flat.flags.writeable = False
    vectors: NDArray[np.float32] = flat.reshape(count, dimension)
    return vectors


def distances_of(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Euclidean distance in float64 of each query, (B, D), from its own rows, (B, F), of `vectors`, (N, D): (B, F)."""
    differences = vectors[rows] - queries.astype(np.float64)[:, None, :]
    squared: NDArray[np.float64] = np.square(differences, out=differences).sum(axis=2)
    return np.sqrt(squared, out=squared)


def selecting(mask: NDArray[np.bool_]) -> object:
    """Parameters of one search that looks only at the rows where `mask`, (N,), is True."""
    parameters: object = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
    return parameters


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
