"""hnswlib, as its documentation shows it: M 16, ef_construction 200."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import hnswlib
import numpy as np

from benchmarks.growth.side import Job, Opened, Vectors, main

NAME = "index.hnsw"
AT_ONCE = 100_000


class Hnswlib:
    """A side."""

    def build(self, job: Job, folder: Path) -> dict[str, Any]:
        """See Side."""
        vectors = np.load(job.vectors, mmap_mode="r")
        index = hnswlib.Index(space="l2", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=16, ef_construction=200, random_seed=1)
        index.set_num_threads(job.threads)
        for start in range(0, len(vectors), AT_ONCE):
            part = np.ascontiguousarray(vectors[start : start + AT_ONCE])
            index.add_items(part, np.arange(start, start + len(part)))
        index.save_index(str(folder / NAME))
        return {}

    def open(self, job: Job, folder: Path) -> Opened:
        """See Side."""
        return OpenedHnswlib(job, folder)


class OpenedHnswlib:
    """See Opened."""

    efforts = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    mapped_bytes = 0
    told: ClassVar[dict[str, Any]] = {}

    def __init__(self, job: Job, folder: Path) -> None:
        lots = np.load(job.lots)
        self._index = hnswlib.Index(space="l2", dim=np.load(job.queries, mmap_mode="r").shape[1])
        self._index.load_index(str(folder / NAME))
        self._effort = 0
        self._in_lot = frozenset(np.flatnonzero(lots == 0).tolist())

    def search(self, query: Vectors, effort: int) -> Sequence[int]:
        """See Opened."""
        self._set(effort)
        labels: list[int] = self._index.knn_query(query, k=10, num_threads=1)[0][0].tolist()
        return labels

    def search_lot(self, query: Vectors, effort: int) -> Sequence[int] | None:
        """See Opened."""
        self._set(effort)
        labels: list[int] = self._index.knn_query(query, k=10, num_threads=1, filter=self._in_lot.__contains__)[0][
            0
        ].tolist()
        return labels

    def _set(self, effort: int) -> None:
        # It is a property of the index, not of a search; here all searches of a load want the same.
        if effort != self._effort:
            self._index.set_ef(effort)
            self._effort = effort


if __name__ == "__main__":
    main(Hnswlib())
