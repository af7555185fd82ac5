"""Milvus is killed and started again while two replicas of the service answer, and somebody writes.

Readers know the exact answer to each of their questions, since the shoes that they ask about never change. The writer
inserts, replaces and removes others, and after each acknowledgement asks both replicas until they have what was
acknowledged. The catalogue has no conditions, so that a Milvus before 2.4 holds it too.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient, MilvusException

from benchmarks.milvus.replicas import Answer, Replica, make_checkpoint
from benchmarks.milvus.server import URI, MilvusProcess
from benchmarks.milvus.shoes import DIMENSION, WHOLE, make_queries, make_records, make_vectors, nearest
from service.errors import Overloaded, UnknownItem
from service.milvus_address import Address
from service.store.base import Item, Record, StoreSpec
from service.store.milvus.schema import field_of
from service.store.milvus.store import MilvusStore

STABLE = 2000
QUESTIONS = 200
K = 10
NEW = 20
"""Shoes that the writer inserts at once."""

SEEN_SECONDS = 30.0
"""After which an acknowledged change has to be in the answers of the other replicas, or they say 503."""

FAR = 50.0
"""Where the writer's shoes lie, far from those that never change."""


@dataclass
class Book:
    """What happened, in numbers; `problems` should be empty.

    Attributes:
        statuses: of the answers to readers.
        slow: the longest that a reader has waited for an answer of each status, in seconds.
        without_retry: answers 503 that did not say when to try again.
        acknowledged: changes of the writer.
        refused: attempts of the writer that were refused; it made each again until it was taken.
        seen: how often a replica has answered with an acknowledged change.
        late: the longest that it took after the acknowledgement, in seconds.
        away: how often it said 503 instead.
        problems: wrong answers, lost writes and phantoms, in words.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    slow: dict[int, float] = field(default_factory=dict)
    without_retry: int = 0
    acknowledged: int = 0
    refused: int = 0
    seen: int = 0
    late: float = 0.0
    away: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outage:
    """One kill, in seconds.

    Attributes:
        down: from the kill to the start.
        start: from the start until Milvus says that it is well.
        noticed: from the kill until both replicas said that they are not ready.
        usable: from Milvus's word that it is well until it answers a plain search.
        recovered: from Milvus's word until both replicas answered searches again.
        written: from Milvus's word until the next change was acknowledged.
    """

    down: float
    start: float
    noticed: float
    usable: float
    recovered: float
    written: float


class Story:
    """The replicas, the readers and the writer."""

    def __init__(self, store: MilvusStore, replicas: list[Replica], vectors: NDArray[np.float32]) -> None:
        self.store, self.replicas, self.vectors = store, replicas, vectors
        self.book = Book()
        self.over = threading.Event()
        self.written: dict[str, int] = {}
        """Id -> the number that its vector and its attribute tell."""
        self.last_write = 0.0
        self.queries = make_queries(vectors, QUESTIONS)
        self.expected = [[f"shoe-{row}" for row in rows] for rows in nearest(vectors, self.queries, K).tolist()]

    def read(self, replica: Replica, seed: int) -> None:
        """Ask until it is over."""
        rng = np.random.default_rng(seed)
        while not self.over.is_set():
            number = int(rng.integers(len(self.queries)))
            answer = replica.search(self.queries[number].tolist(), k=K, filter=("Kind:stable",))
            self._note(answer)
            if answer.status == 200:
                found = [hit["id"] for hit in answer.body["hits"]]
                if found != self.expected[number]:
                    self.book.problems.append(f"question {number}: {found}, not {self.expected[number]}")
            elif answer.status == 503:
                time.sleep(0.05)
            else:
                self.book.problems.append(f"question {number}: status {answer.status} {answer.body}")

    def write(self) -> None:
        """Change shoes until it is over; what is refused is tried again."""
        number = 0
        while not self.over.is_set():
            number += 1
            batch = self._batch(number)
            self._change(partial(self.store.upsert, batch))
            self.written.update({record.item.id: number for record in batch})
            gone = [f"new-{number - 3}-{place}" for place in range(NEW // 2)]
            self._change(partial(self.store.delete, gone))
            for item_id in gone:
                self.written.pop(item_id, None)
            self._look(number)

    def verify(self) -> None:
        """Compare all of the catalogue with what was acknowledged, through each replica."""
        expected = {f"shoe-{row}" for row in range(len(self.vectors))} | self.written.keys()
        for replica in self.replicas:
            found = list(all_ids(replica))
            if len(found) != len(set(found)):
                self.book.problems.append(f"{len(found) - len(set(found))} shoes are twice in the catalogue")
            if lost := expected - set(found):
                self.book.problems.append(f"{len(lost)} acknowledged shoes are lost, such as {min(lost)}")
            if phantoms := set(found) - expected:
                self.book.problems.append(
                    f"{len(phantoms)} shoes are there that should not be, such as {min(phantoms)}"
                )
        for item_id, number in self.written.items():
            vector = self._vector(item_id)
            if vector is None or vector[1] != number:
                self.book.problems.append(f"{item_id} has another vector than was acknowledged, or none")
        for row in range(0, len(self.vectors), 7):
            vector = self._vector(f"shoe-{row}")
            if vector is None or not np.array_equal(vector, self.vectors[row]):
                self.book.problems.append(f"shoe-{row} has another vector, or none")

    def agree(self) -> int:
        """Ask both replicas the same. Returns how many answers were compared."""
        paths = ["/v1/facets", "/v1/items?limit=500", "/v1/facets?filter=Kind:written", "/v1/items/counter"]
        answers = [[replica.get(path) for path in paths] for replica in self.replicas]
        for query in self.queries:
            for replica, told in zip(self.replicas, answers, strict=True):
                told.append(replica.search(query.tolist()))
        for one, other in zip(*answers, strict=True):
            if one.status != 200 or one.body != other.body:
                self.book.problems.append(f"the replicas differ: {str(one)[:200]} and {str(other)[:200]}")
        return len(answers[0])

    def _vector(self, item_id: str) -> NDArray[np.float32] | None:
        try:
            return self.store.vector(item_id)
        except UnknownItem:
            return None

    def _batch(self, number: int) -> list[Record]:
        attributes = {"Kind": ("written",), "Number": (f"{number % 40}",)}
        records = []
        for place in range(NEW):
            vector = np.full(DIMENSION, FAR, dtype=np.float32)
            vector[:2] = place, number
            records.append(Record(Item(f"new-{number}-{place}", "x.jpg", attributes), vector))
        counter = np.full(DIMENSION, -FAR, dtype=np.float32)
        counter[1] = number
        return [*records, Record(Item("counter", "c.jpg", {"Kind": ("written",)}), counter)]

    def _change(self, do: Callable[[], int]) -> None:
        while True:
            try:
                do()
            except Overloaded:
                self.book.refused += 1
                time.sleep(0.2)
            else:
                self.book.acknowledged += 1
                self.last_write = time.monotonic()
                return

    def _look(self, number: int) -> None:
        """Each replica comes to have the writer's last change in its answers, unless it says 503."""
        asked = np.full(DIMENSION, -FAR, dtype=np.float32)
        asked[1] = number
        began = time.monotonic()
        for replica in self.replicas:
            while True:
                answer = replica.search(asked.tolist(), k=1)
                hits = answer.body["hits"] if answer.status == 200 else []
                if hits and hits[0]["id"] == "counter" and hits[0]["distance"] == 0:
                    self.book.seen += 1
                    self.book.late = max(self.book.late, time.monotonic() - began)
                    break
                if answer.status == 503:
                    self.book.away += 1
                    break
                if time.monotonic() - began > SEEN_SECONDS:
                    self.book.problems.append(f"change {number} is in no answer: {answer}")
                    break
                time.sleep(0.02)

    def _note(self, answer: Answer) -> None:
        self.book.statuses[answer.status] += 1
        self.book.slow[answer.status] = max(self.book.slow.get(answer.status, 0.0), answer.seconds)
        self.book.without_retry += answer.status == 503 and not answer.retry_after


def all_ids(replica: Replica) -> list[str]:
    """Every shoe's id, page by page."""
    ids: list[str] = []
    cursor = ""
    while True:
        answer = replica.get("/v1/items?limit=500" + (f"&cursor={cursor}" if cursor else ""))
        ids += [item["id"] for item in answer.body["items"]]
        cursor = answer.body["next"]
        if not cursor:
            return ids


def run_faults(server: MilvusProcess, folder: Path, *, kills: int, calm: float) -> tuple[Book, list[Outage], int]:
    """Fill a store, start two replicas, and kill the server while they are asked.

    Args:
        server: that runs.
        folder: for the checkpoint and the logs.
        kills: how often.
        calm: seconds before each.

    Returns:
        What happened, each outage, and how many answers of the two replicas were compared in the end.
    """
    address = Address(URI, "faults")
    MilvusStore.remove(address)
    checkpoint = make_checkpoint(folder / "checkpoint")
    spec = StoreSpec.of(DIMENSION, WHOLE, checkpoint.digest, folder / "pictures")
    store = MilvusStore.open(address, create=spec)
    vectors = make_vectors(STABLE)
    store.upsert(make_records(vectors))
    spelled = f"milvus://{URI.partition('://')[2]}/{address.collection}"
    replicas = [Replica(spelled, folder / "checkpoint", folder / f"replica-{number}.log") for number in range(2)]
    story = Story(store, replicas, vectors)
    threads = [threading.Thread(target=story.read, args=(replica, seed)) for seed, replica in enumerate(replicas * 2)]
    threads.append(threading.Thread(target=story.write))
    try:
        for replica in replicas:
            replica.wait()
        for thread in threads:
            thread.start()
        outages = [go_through_outage(server, story, calm, down=1.0 + 3.0 * number) for number in range(kills)]
        time.sleep(calm)
        story.over.set()
        for thread in threads:
            thread.join()
        story.verify()
        return story.book, outages, story.agree()
    finally:
        story.over.set()
        for replica in replicas:
            replica.stop()
        store.close()


def go_through_outage(server: MilvusProcess, story: Story, calm: float, *, down: float) -> Outage:
    """Kill the server, start it again, and wait until all is well."""
    time.sleep(calm)
    killed = time.monotonic()
    server.kill()
    noticed = wait_for(lambda: all(replica.get("/readyz").status == 503 for replica in story.replicas), 60) - killed
    time.sleep(max(0.0, down - (time.monotonic() - killed)))
    started = time.monotonic()
    start = server.start()
    well = time.monotonic()
    usable = wait_for(lambda: finds(story.queries[0]), 180) - well
    asked = story.queries[0].tolist()
    answered = wait_for(lambda: all(replica.search(asked).status == 200 for replica in story.replicas), 180)
    written = wait_for(lambda: story.last_write > well, 180)
    return Outage(started - killed, start, noticed, usable, answered - well, written - well)


def finds(query: NDArray[np.float32]) -> bool:
    """Whether Milvus answers a search, without the service."""
    try:
        client = MilvusClient(URI, timeout=2, dedicated=True)
    except MilvusException:
        return False
    try:
        return (
            len(client.search("faults", data=[query], anns_field=field_of(slice(0, DIMENSION)), limit=K, timeout=2)[0])
            == K
        )
    except (MilvusException, grpc.RpcError):
        return False
    finally:
        client.close()


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """The time when a condition holds. Raises RuntimeError if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return time.monotonic()
        time.sleep(0.05)
    raise RuntimeError(f"{seconds:.0f} s were not enough")
