"""The search of a large catalogue: candidates out of an inverted index, distances from vectors that all indexes share.

Every condition's index looks at its own slice of one matrix, which may lie in a mapped file. Where there is no inverted
index, or where it can't be known to find enough, the whole matrix is looked through: slow, and exact.
"""

import numpy as np
from numpy.typing import NDArray

from service.store.index.exact import NOTHING, ROUNDING, SPARE, Neighbours, Selection, nearest, rank
from service.store.index.faiss import faiss, omp_threads, selector
from service.store.index.flat import FAISS_QUERIES
from service.store.index.tuning import Setting, Tuned

__all__ = ["SharedIndex"]

Vectors = NDArray[np.float32]

# Rows of a slice that are copied at once, as FAISS wants them side by side; whole vectors are looked at where they are.
ROWS_AT_ONCE = 2**16


class SharedIndex:
    """Nearest neighbours in vectors that belong to somebody else, (N, D) float32, perhaps a slice of wider ones.

    Immutable, and safe in many threads at once.
    """

    def __init__(self, vectors: Vectors, tuned: Tuned | None = None, *, threads: int = 1) -> None:
        """`tuned` is an inverted index of these vectors; without one every search is exact."""
        self._vectors = vectors
        self._threads = threads
        self.tuned = tuned
        self.size, self.dimension = vectors.shape

    def search(self, queries: Vectors, k: int, selection: Selection | None = None) -> list[Neighbours]:
        """The k nearest rows of each query; fewer only where there are fewer.

        An inverted index is tuned to find nearly all of so many neighbours. If k of those it finds are selected, they
        are nearly all of the k nearest selected ones too; if not, it is asked for more of them, and in the end the
        whole matrix is looked through. So it does not matter whether what is selected lies near the query.

        Args:
            queries: (B, D) float32, finite.
            k: at least 1.
            selection: the rows to look at; None for all.
        """
        available = self.size if selection is None else selection.count
        k = min(k, available)
        if k == 0:
            return [NOTHING for _ in queries]
        needed = k * self.size / available
        answers: dict[int, Neighbours] = {}
        for setting in self.tuned.settings if self.tuned is not None else ():
            if setting.depth >= needed:
                left = [position for position in range(len(queries)) if position not in answers]
                found = self._look(queries[left], k, setting, selection)
                answers.update(
                    (position, each) for position, each in zip(left, found, strict=True) if len(each.rows) == k
                )
                if len(answers) == len(queries):
                    break
        left = [position for position in range(len(queries)) if position not in answers]
        for start in range(0, len(left), FAISS_QUERIES):
            some = left[start : start + FAISS_QUERIES]
            answers.update(zip(some, self._look_through(queries[some], k, selection), strict=True))
        return [answers[position] for position in range(len(queries))]

    def _look(self, queries: Vectors, k: int, setting: Setting, selection: Selection | None) -> list[Neighbours]:
        """The k nearest that are selected, of those neighbours that a setting finds; fewer where it finds fewer."""
        asked = np.ascontiguousarray(queries)
        assert self.tuned is not None
        rows = self.tuned.index.candidates(asked, setting.candidates, probes=setting.probes)
        found = rank(self._vectors, asked, rows, k if selection is None else setting.depth)
        answers = []
        for near, distances in found:
            passing = near >= 0
            if selection is not None:
                passing &= selection.mask[near]
            chosen = np.flatnonzero(passing)[:k]
            answers.append(Neighbours(near[chosen], distances[chosen]))
        return answers

    def _look_through(self, queries: Vectors, k: int, selection: Selection | None) -> list[Neighbours]:
        """The k nearest of all that are selected, at least k, to at most FAISS_QUERIES queries."""
        fetch = k + SPARE
        squared = np.full((len(queries), fetch), np.inf, dtype=np.float32)
        rows = np.full((len(queries), fetch), -1, dtype=np.int64)
        for start in range(0, self.size, ROWS_AT_ONCE):
            mask = None if selection is None else selection.mask[start : start + ROWS_AT_ONCE]
            if mask is None or mask.any():
                far, near = self._look_at(queries, slice(start, start + ROWS_AT_ONCE), fetch, mask)
                squared, rows = np.concatenate([squared, far], axis=1), np.concatenate([rows, near], axis=1)
                best = np.argpartition(squared, fetch - 1, axis=1)[:, :fetch]
                squared, rows = np.take_along_axis(squared, best, axis=1), np.take_along_axis(rows, best, axis=1)
        # As in `FlatIndex`: what is not among the candidates is at least as far as the last of them, but for rounding.
        floors = squared.max(axis=1) * (1.0 - (self.dimension + 3) * ROUNDING)
        answers = []
        for query, found, floor in zip(queries, rank(self._vectors, queries, rows, k), floors.tolist(), strict=True):
            is_all = len(found.rows) == k and found.rows.min() >= 0 and found.distances[-1] ** 2 < floor
            every = np.arange(self.size) if selection is None else selection.rows
            answers.append(found if is_all else nearest(self._vectors, query, k, every))
        return answers

    def _look_at(
        self, queries: Vectors, span: slice, count: int, mask: NDArray[np.bool_] | None
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Squared distances and rows of the nearest in a span of rows, both (B, count), in any order."""
        part = np.ascontiguousarray(self._vectors[span])
        asked = np.ascontiguousarray(queries)
        squared = np.empty((len(asked), count), dtype=np.float32)
        rows = np.empty((len(asked), count), dtype=np.int64)
        pointers = [faiss.swig_ptr(array) for array in (asked, part, squared, rows)]
        chosen = None if mask is None else selector(mask)
        with omp_threads(self._threads):
            faiss.knn_L2sqr(*pointers[:2], self.dimension, len(asked), len(part), count, *pointers[2:], None, chosen)
        missing = rows < 0
        squared[missing] = np.inf
        rows[~missing] += span.start
        return squared, rows
