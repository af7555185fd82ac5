"""Candidates for nearest neighbours, found without looking at every vector: FAISS's inverted file with 4-bit codes.

The vectors are divided among lists, each by the centre that it is nearest to. A search looks into the lists of the
nearest centres only, and there at codes of half a byte for each number, many at a time in the processor's registers
(André and others, "Cache locality is not enough", 2015). It holds no vectors, and what it finds are rows; their
distances are worked out from the vectors, which all indexes share.

Chosen by measurement, see `benchmarks/growth`: for the same recall it is as fast as a graph (HNSW) and takes a quarter
of the memory beside the vectors and a tenth of the time to build.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.store.index.exact import Neighbours, Selection, Vectors, faiss, omp_threads, rank

KIND = "IndexIVFPQFastScan"

MOST_LISTS = 2**14
POINTS_FOR_A_LIST = 64
"""Training vectors for each centre."""

CODES = 16
"""Codes of each dimension (4 bits); FAISS learns them from at least as many vectors."""

ROUNDS = 8
"""Iterations of k-means."""

ROWS_AT_ONCE = 2**16
"""Vectors that are copied and added at once, which bounds the memory."""


class Stopped(Exception):
    """A build was stopped."""


def never() -> bool:
    """Whether to stop."""
    return False


class InvertedIndex:
    """N rows in lists. Searching is safe from many threads at once, and every search has its own parameters."""

    def __init__(self, index: Any, *, threads: int = 1) -> None:  # noqa: ANN401 - FAISS has no types
        """Take over `index`; `threads` is how many one search may use."""
        self._index = index
        self._threads = threads
        self.size = int(index.ntotal)
        self.dimension = int(index.d)
        self.lists = int(index.nlist)

    @classmethod
    def build(cls, vectors: Vectors, *, threads: int = 1, stop: Callable[[], bool] = never) -> "InvertedIndex":
        """Learn the lists from a sample, and put every vector into one of them. Takes seconds to minutes.

        Args:
            vectors: (N, D), at least one; may be a slice of wider ones, and is never copied as a whole.
            threads: for building and for searching.
            stop: is asked now and then whether to give up.
        """
        count, dimension = vectors.shape
        lists = count_lists(count)
        index = faiss.index_factory(dimension, f"IVF{lists},PQ{dimension}x4fs")
        index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = ROUNDS, 1, POINTS_FOR_A_LIST
        # Else FAISS prints a warning where it learns from few.
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        rng = np.random.default_rng(0)
        sample = np.sort(rng.choice(count, min(count, max(1024, lists * POINTS_FOR_A_LIST)), replace=False))
        sample = np.resize(sample, max(CODES, len(sample)))
        with omp_threads(threads):
            index.train(np.ascontiguousarray(vectors[sample]))
            for start in range(0, count, ROWS_AT_ONCE):
                if stop():
                    raise Stopped
                index.add(np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE]))
        return cls(index, threads=threads)

    @classmethod
    def from_bytes(cls, data: memoryview, *, threads: int = 1) -> "InvertedIndex":
        """Read FAISS's own format, which is not safe to read from damaged bytes: check them before."""
        index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        kind = type(index).__name__
        if kind != KIND:
            raise ValueError(f"a {kind}, not an {KIND}")
        return cls(index, threads=threads)

    def to_bytes(self) -> memoryview:
        """FAISS's own format."""
        return memoryview(faiss.serialize_index(self._index))

    def candidates(self, queries: Vectors, count: int, *, probes: int) -> NDArray[np.int64]:
        """Rows whose codes are nearest to each query, nearest first: (B, count), -1 where there are no more.

        Args:
            queries: (B, D) float32, finite.
            count: at least 1.
            probes: how many lists to look into.
        """
        parameters = faiss.SearchParametersIVF(nprobe=min(probes, self.lists))
        with omp_threads(self._threads):
            rows: NDArray[np.int64] = self._index.search(queries, count, params=parameters)[1]
        return rows


def count_lists(count: int) -> int:
    """How many lists for so many vectors: to find the nearest centres takes about as long as to look into theirs."""
    return min(MOST_LISTS, 1 << round(math.log2(max(1.0, 1.5 * math.sqrt(count)))))


@dataclass(frozen=True)
class Setting:
    """How to look for neighbours.

    Attributes:
        depth: how many neighbours it is for, at most.
        probes: lists to look into.
        candidates: rows whose exact distance is worked out.
        recall: the share of that many neighbours that it finds, by the kind of queries for which it is lower.
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
        recall: recall@10 with the first of them, of the kind of queries for which it is lower.
    """

    index: InvertedIndex
    settings: tuple[Setting, ...]
    recall: float

    def search(
        self, vectors: Vectors, queries: Vectors, k: int, selection: Selection | None = None
    ) -> list[Neighbours | None]:
        """Nearly all of the k nearest rows of each query, exactly ranked; None where it can't be known to find enough.

        A setting finds nearly all of so many neighbours. If k of those are selected, they are nearly all of the k
        nearest selected ones too; if not, the next setting looks further. So it does not matter whether what is
        selected lies near the query.

        Args:
            vectors: (N, D), of which the index is.
            queries: (B, D) float32, finite.
            k: at least 1.
            selection: the rows to look at, one at least; None for all.
        """
        available = self.index.size if selection is None else selection.count
        k = min(k, available)
        answers: list[Neighbours | None] = [None] * len(queries)
        for setting in self.settings:
            left = [position for position, answer in enumerate(answers) if answer is None]
            if left and setting.depth >= k * self.index.size / available:
                asked = np.ascontiguousarray(queries[left])
                rows = self.index.candidates(asked, setting.candidates, probes=setting.probes)
                ranked = rank(vectors, asked, rows, k if selection is None else setting.depth)
                for position, (near, distances) in zip(left, ranked, strict=True):
                    passing = near >= 0
                    if selection is not None:
                        passing &= selection.mask[near]
                    chosen = np.flatnonzero(passing)[:k]
                    if len(chosen) == k:
                        answers[position] = Neighbours(near[chosen], distances[chosen])
        return answers
