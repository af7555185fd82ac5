"""Exact nearest neighbours with FAISS: the only module that touches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatIndex", "Neighbours"]

# What stubs FAISS has describe the C++ functions, not the Python layer over them.
faiss: Any = untyped_faiss

# FAISS turns to matrix products, |x|^2 + |y|^2 - 2xy, for 20 queries at once (`distance_compute_blas_threshold`; more
# in later versions), which loses all digits of small distances. Fewer at a time are summed difference by difference.
QUERIES_AT_ONCE = 16

# Candidates beyond k: enough to see where a tie at the k-th place ends, in all but odd catalogues.
SPARE = 16

# Rows of which the exact distances are worked out at once; bounds the memory of `squared_distances`.
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

    FAISS finds the candidates in float32; their distances are then worked out in float64, so that equal vectors have
    distance 0, and equal distances come in the order of rows. Searching is safe from many threads at once.
    """

    def __init__(self, index: FaissFlat, *, threads: int = 1) -> None:
        """Take over `index`. `threads` is how many one search may use; few gain from more than one."""
        self._index = index
        self._threads = threads
        self.size = int(index.ntotal)
        self.dimension = int(index.d)
        self._vectors = vectors_of(index)
        # Of a squared distance that FAISS summed up in float32: one subtraction, one square, D additions.
        self._relative_error = (self.dimension + 3) * 2.0**-24

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
        fetch = min(k + SPARE, available)
        parameters = None if mask is None else selecting(mask)
        answers = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            some = np.ascontiguousarray(queries[start : start + QUERIES_AT_ONCE])
            with omp_threads(self._threads):
                squared, candidates = self._index.search(some, fetch, params=parameters)
            for query, rows, far in zip(some, candidates, squared[:, -1], strict=True):
                answer = self._rank(query, rows, k) if rows[-1] >= 0 else None
                # Rows that FAISS left out are at least as far as its last one; unless that is beyond the k-th for sure,
                # one of them may tie with it. FAISS gives row -1 where a square overflowed.
                if answer is None or (fetch < available and not self._surely_beyond(float(far), answer.distances[-1])):
                    answer = self._rank(query, np.arange(self.size) if mask is None else np.flatnonzero(mask), k)
                answers.append(answer)
        return answers

    def _rank(self, query: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Neighbours:
        """The k nearest of `rows`, exactly."""
        distances = np.sqrt(squared_distances(self._vectors, rows, query))
        order = np.lexsort((rows, distances))[:k]
        return Neighbours(rows[order], distances[order])

    def _surely_beyond(self, squared: float, distance: float) -> bool:
        """Whether FAISS's squared distance is greater than `distance`, whatever the rounding."""
        return squared * (1.0 - self._relative_error) > distance * distance


def vectors_of(index: FaissFlat) -> NDArray[np.float32]:
    """The vectors within `index`, (N, D): its own memory, which lives as long as the index does."""
    count, dimension = int(index.ntotal), int(index.d)
    flat = faiss.rev_swig_ptr(index.get_xb(), count * dimension) if count else np.empty(0, dtype=np.float32)
    flat.flags.writeable = False
    vectors: NDArray[np.float32] = flat.reshape(count, dimension)
    return vectors


def squared_distances(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], query: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Squared Euclidean distance in float64 of `query`, (D,), from each of `rows` of `vectors`, (N, D)."""
    exact = query.astype(np.float64)
    result = np.empty(len(rows))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        result[part] = np.square(vectors[rows[part]] - exact).sum(axis=1)
    return result


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
