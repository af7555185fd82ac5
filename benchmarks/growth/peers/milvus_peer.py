"""Milvus, over its client: an HNSW index as hnswlib's, in a collection that the benchmark makes and fills."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pymilvus import DataType, MilvusClient

from benchmarks.growth.side import Job, Opened, Vectors, main

AT_ONCE = 10_000
SECONDS = 600.0
"""How long one step of the server may take."""


class Milvus:
    """A side."""

    def build(self, job: Job, _folder: Path) -> dict[str, Any]:
        """See Side. The time is that of inserting, indexing and loading."""
        vectors, lots = np.load(job.vectors, mmap_mode="r"), np.load(job.lots)
        name, client = collection(job), connect(job)
        if client.has_collection(name):
            client.drop_collection(name)
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("lot", DataType.INT16)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        client.create_collection(name, schema=schema, consistency_level="Strong")
        for start in range(0, len(vectors), AT_ONCE):
            part = zip(vectors[start : start + AT_ONCE], lots[start : start + AT_ONCE].tolist(), strict=True)
            rows = [{"id": number, "lot": lot, "vector": vector} for number, (vector, lot) in enumerate(part, start)]
            client.insert(name, rows, timeout=SECONDS)
        client.flush(name, timeout=SECONDS)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 200})
        client.create_index(name, index, timeout=SECONDS)
        client.load_collection(name, timeout=SECONDS)
        return {}

    def open(self, job: Job, _folder: Path) -> Opened:
        """See Side."""
        return OpenedMilvus(job)


class OpenedMilvus:
    """See Opened. Memory is the server's."""

    efforts = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    mapped_bytes = None
    told: ClassVar[dict[str, Any]] = {}

    def __init__(self, job: Job) -> None:
        self._client, self._name = connect(job), collection(job)

    def search(self, query: Vectors, effort: int) -> Sequence[int]:
        """See Opened."""
        return self._search(query, effort, "")

    def search_lot(self, query: Vectors, effort: int) -> Sequence[int] | None:
        """See Opened."""
        return self._search(query, effort, "lot == 0")

    def _search(self, query: Vectors, effort: int, filter: str) -> list[int]:
        found = self._client.search(
            self._name, [query], filter=filter, limit=10, search_params={"metric_type": "L2", "params": {"ef": effort}}
        )
        return [int(hit["id"]) for hit in found[0]]


def connect(job: Job) -> MilvusClient:
    """A client of the server that the benchmark was told of."""
    assert job.milvus, "no address of a server"
    return MilvusClient(uri=job.milvus)


def collection(job: Job) -> str:
    """One for each number of vectors."""
    return f"solemate_growth_{len(np.load(job.vectors, mmap_mode='r'))}"


if __name__ == "__main__":
    main(Milvus())
