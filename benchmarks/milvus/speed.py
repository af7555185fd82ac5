"""How fast a store in Milvus takes and finds shoes, and how many of the nearest it finds."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from benchmarks.milvus.server import URI, MilvusProcess
from benchmarks.milvus.shoes import DIMENSION, WHOLE, make_queries, make_records, make_vectors, nearest
from benchmarks.serving.processes import cpu_seconds, peak_mib
from service.errors import Overloaded
from service.milvus_address import Address, Index
from service.store.base import Hit, Record, StoreSpec
from service.store.filters import Filter, HasValue
from service.store.milvus.schema import field_of
from service.store.milvus.store import MilvusStore

K = 10
BATCH = 1000
QUERIES = 500
WARM = 20
SETTLE_SECONDS = 15.0


class Load(NamedTuple):
    """How a store is asked: by how many threads, and how many queries each asks at once."""

    clients: int
    together: int = 1

    def __str__(self) -> str:
        return f"c={self.clients}" + (f" of {self.together}" if self.together > 1 else "")


LOADS = (Load(1), Load(8), Load(2, 32))
"""The last is what the service does with what has queued."""

CHECKPOINT = "0" * 64


@dataclass(frozen=True)
class Measured:
    """What one store did; times in milliseconds.

    Attributes:
        shoes: how many it held.
        index: how its vectors were indexed.
        strong: whether reads were at the consistency level Strong.
        insert: shoes a second, by all writers together.
        writers: how many those are.
        write: p50 of replacing one shoe.
        p50: of one call, by clients and queries of a call.
        p99: likewise.
        rate: searches a second, likewise.
        ours: processor time of a search in this process, in ms, likewise; with Milvus's client.
        theirs: processor time of a search in the server, likewise; with what it does besides.
        recall: the share of the exact ten nearest that were found.
        filtered: likewise, among a fiftieth of the shoes.
        memory: MiB that the server has had at most.
    """

    shoes: int
    index: Index
    strong: bool
    insert: float
    writers: int
    write: float
    p50: dict[str, float]
    p99: dict[str, float]
    rate: dict[str, float]
    ours: dict[str, float]
    theirs: dict[str, float]
    recall: float
    filtered: float
    memory: float


def measure(
    server: MilvusProcess,
    shoes: int,
    index: Index,
    *,
    strong: bool = False,
    seconds: float = 6.0,
    fresh: bool = True,
    writers: int = 1,
) -> Measured:
    """Fill a store and search it.

    Args:
        server: that runs.
        shoes: how many to put in.
        index: of their vectors.
        strong: see `Address`.
        seconds: of each load.
        fresh: fill it; otherwise it is there from before.
        writers: that fill it at once.
    """
    address = Address(URI, f"speed_{index}_{shoes}", index=index, strong=strong)
    vectors = make_vectors(shoes)
    if fresh:
        MilvusStore.remove(address)
    store = MilvusStore.open(address, create=StoreSpec.of(DIMENSION, WHOLE, CHECKPOINT, "/none"))
    insert = fill(address, vectors, writers) if fresh else float("nan")
    if fresh:
        settle(address)
    queries = make_queries(vectors, QUERIES)
    write = replace_some(store, vectors)
    p50, p99, rate, ours, theirs = {}, {}, {}, {}, {}
    for how in LOADS:
        name = str(how)
        here, there = time.process_time(), cpu_seconds(server.pids)
        times = load(store, queries, how, seconds)
        searches = (len(times) + WARM) * how.together
        ours[name] = (time.process_time() - here) / searches * 1000
        theirs[name] = (cpu_seconds(server.pids) - there) / searches * 1000
        p50[name], p99[name] = (float(np.percentile(times, each)) for each in (50, 99))
        rate[name] = len(times) * how.together / seconds
    measured = Measured(
        shoes=shoes,
        index=index,
        strong=strong,
        insert=insert,
        writers=writers,
        write=write,
        p50=p50,
        p99=p99,
        rate=rate,
        ours=ours,
        theirs=theirs,
        recall=recall(store, vectors, queries[:100], ""),
        filtered=recall(store, vectors, queries[:100], "brand 7"),
        memory=peak_mib(server.pids),
    )
    store.close()
    return measured


def fill(address: Address, vectors: NDArray[np.float32], writers: int) -> float:
    """Put them in, by several writers at once, each with a store of its own. Returns how many a second."""
    records: Iterator[Record] = make_records(vectors)
    batches = iter(lambda: list(islice(records, BATCH)), [])
    taking = threading.Lock()

    def write(_: int) -> None:
        store = MilvusStore.open(address)
        while True:
            with taking:
                some = next(batches, None)
            if some is None:
                break
            while True:
                try:
                    store.upsert(some)
                except Overloaded as error:  # on a slow machine a write may take longer than it is waited for
                    time.sleep(error.retry_after)
                else:
                    break
        store.close()

    began = time.monotonic()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    return len(vectors) / (time.monotonic() - began)


def settle(address: Address) -> None:
    """Have Milvus seal and index what it has, as it does by itself sooner or later, and wait until that is loaded."""
    client = MilvusClient(address.uri)
    client.flush(address.collection, timeout=120)
    deadline, index = time.monotonic() + 120, field_of(slice(0, DIMENSION))
    while time.monotonic() < deadline and client.describe_index(address.collection, index)["state"] != "Finished":
        time.sleep(1)
    client.close()
    time.sleep(SETTLE_SECONDS)


def replace_some(store: MilvusStore, vectors: NDArray[np.float32]) -> float:
    """Replace single shoes by themselves. Returns the p50, in ms."""
    times = []
    for record in islice(make_records(vectors), 15):
        began = time.monotonic()
        store.upsert([record])
        times.append(time.monotonic() - began)
    return float(np.median(times)) * 1000


def load(store: MilvusStore, queries: NDArray[np.float32], how: Load, seconds: float) -> NDArray[np.float64]:
    """Search for a while. Returns the times in ms, those of the first searches left out."""
    numbers = count()
    times: list[float] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            first = next(numbers) * how.together % (len(queries) - how.together + 1)
            began = time.perf_counter()
            store.search(queries[first : first + how.together], K)
            times.append(time.perf_counter() - began)

    for _ in range(WARM):
        store.search(queries[: how.together], K)
    threads = [threading.Thread(target=work) for _ in range(how.clients)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    return np.array(times) * 1000


def recall(store: MilvusStore, vectors: NDArray[np.float32], queries: NDArray[np.float32], brand: str) -> float:
    """The share of the exact nearest that are found, among the shoes of one brand, or all of them."""
    rows = np.arange(len(vectors))
    if brand:
        rows = rows[rows % 50 == int(brand.split()[1])]
    exact = rows[nearest(vectors[rows], queries, K)]
    chosen = HasValue("Brand", frozenset({brand})) if brand else None
    found = [
        len({hit.item.id for hit in hits} & {f"shoe-{row}" for row in expected})
        for hits, expected in zip(search_all(store, queries, chosen), exact, strict=True)
    ]
    return sum(found) / (K * len(queries))


def search_all(store: MilvusStore, queries: NDArray[np.float32], filter: Filter | None) -> Iterator[list[Hit]]:
    """The hits of each query, asked one by one."""
    for query in queries:
        yield store.search(query[None], K, filter=filter)[0]
