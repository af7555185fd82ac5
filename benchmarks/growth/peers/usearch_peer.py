"""usearch, with its own defaults: connectivity 16, expansion_add 128; float32, as the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from usearch.index import Index

from benchmarks.growth.side import Job, Opened, Vectors, main

NAME = "index.usearch"
AT_ONCE = 100_000


class Usearch:
    """A side."""

    def build(self, job: Job, folder: Path) -> dict[str, Any]:
        """See Side."""
        vectors = np.load(job.vectors, mmap_mode="r")
        index = Index(ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=128)
        for start in range(0, len(vectors), AT_ONCE):
            part = np.ascontiguousarray(vectors[start : start + AT_ONCE])
            index.add(np.arange(start, start + len(part)), part, threads=job.threads)
        index.save(str(folder / NAME))
        return {}

    def open(self, job: Job, folder: Path) -> Opened:
        """See Side."""
        return OpenedUsearch(job, folder)


class OpenedUsearch:
    """See Opened. Its Python interface has no filters."""

    efforts = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    mapped_bytes = 0
    told: ClassVar[dict[str, Any]] = {}

    def __init__(self, job: Job, folder: Path) -> None:
        dimension = np.load(job.queries, mmap_mode="r").shape[1]
        self._index = Index(ndim=dimension, metric="l2sq", dtype="f32", connectivity=16, expansion_add=128)
        self._index.load(str(folder / NAME))

    def search(self, query: Vectors, effort: int) -> Sequence[int]:
        """See Opened."""
        # It is a property of the index, not of a search; here all searches of a load want the same.
        if effort != self._index.expansion_search:
            self._index.expansion_search = effort
        keys: list[int] = self._index.search(query, 10, threads=1).keys.tolist()
        return keys

    def search_lot(self, _query: Vectors, _effort: int) -> Sequence[int] | None:
        """See Opened."""
        return None


if __name__ == "__main__":
    main(Usearch())
