"""Milvus, over its client: an HNSW index as hnswlib's, in a collection that the benchmark makes and fills."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from grpc import RpcError
from pymilvus import DataType, MilvusClient, MilvusException

from benchmarks.growth.side import Job, Opened, Vectors, main
from benchmarks.serving.processes import cpu_seconds, resident_mib

AT_ONCE = 10_000
SECONDS = 3600.0
"""How long one step of the server may take."""

ANSWER_SECONDS = 5.0
"""How long one search may take."""


class Milvus:
    """A side."""

    def build(self, job: Job, _folder: Path) -> dict[str, Any]:
        """See Side. Processor time is the server's, where it runs on this machine."""
        vectors, lots = np.load(job.vectors, mmap_mode="r"), np.load(job.lots)
        name, client = collection(job), connect(job)
        if client.has_collection(name):
            client.drop_collection(name)
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("lot", DataType.INT16)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        client.create_collection(name, schema=schema, consistency_level="Bounded")
        began = perf_counter()
        for start in range(0, len(vectors), AT_ONCE):
            part = zip(vectors[start : start + AT_ONCE], lots[start : start + AT_ONCE].tolist(), strict=True)
            rows = [{"id": number, "lot": lot, "vector": vector} for number, (vector, lot) in enumerate(part, start)]
            client.insert(name, rows, timeout=SECONDS)
        client.flush(name, timeout=SECONDS)
        stored, processors = perf_counter(), cpu_seconds(server())
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 200})
        client.create_index(name, index, timeout=SECONDS)
        client.load_collection(name, timeout=SECONDS)
        return {
            "stored_seconds": stored - began,
            "index_seconds": perf_counter() - stored,
            "index_cpu_seconds": cpu_seconds(server()) - processors,
        }

    def open(self, job: Job, _folder: Path) -> Opened:
        """See Side."""
        return OpenedMilvus(job)


class OpenedMilvus:
    """See Opened. Memory is the server's, of all its collections and of the server itself."""

    efforts = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    mapped_bytes = None

    def __init__(self, job: Job) -> None:
        self._client, self._name = connect(job), collection(job)
        self._client.load_collection(self._name, timeout=SECONDS)
        self._wait(np.load(job.queries, mmap_mode="r")[0])
        self.told: dict[str, Any] = {"server_mib": resident_mib(server())}

    def search(self, query: Vectors, effort: int) -> Sequence[int]:
        """See Opened."""
        return self._search(query, effort, "")

    def search_lot(self, query: Vectors, effort: int) -> Sequence[int] | None:
        """See Opened."""
        return self._search(query, effort, "lot == 0")

    def _wait(self, query: Vectors) -> None:
        """Until it answers: for a while after it was started it does not, whatever it says of itself."""
        end = perf_counter() + SECONDS
        while True:
            try:
                self._search(query, self.efforts[0], "")
            except (MilvusException, RpcError):
                if perf_counter() > end:
                    raise
            else:
                return

    def _search(self, query: Vectors, effort: int, filter: str) -> list[int]:
        found = self._client.search(
            self._name,
            [query],
            filter=filter,
            limit=10,
            search_params={"metric_type": "L2", "params": {"ef": effort}},
            timeout=ANSWER_SECONDS,
        )
        return [int(hit["id"]) for hit in found[0]]


def connect(job: Job) -> MilvusClient:
    """A client of the server that the benchmark was told of."""
    assert job.milvus, "no address of a server"
    return MilvusClient(uri=job.milvus)


def server() -> set[int]:
    """The server's processes, by Linux's /proc; none where it runs on another machine."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes().endswith(b"milvus\0run\0standalone\0"):
                found.add(int(entry.name))
    return found


def collection(job: Job) -> str:
    """One for each number of vectors."""
    return f"solemate_growth_{len(np.load(job.vectors, mmap_mode='r'))}"


if __name__ == "__main__":
    main(Milvus())
