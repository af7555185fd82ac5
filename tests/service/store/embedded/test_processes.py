"""Several processes and threads on one catalogue, and processes that are killed."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.store.embedded.store import DATABASE, EmbeddedStore
from tests.service.store import writer
from tests.service.store.conftest import embedded
from tests.service.store.naive import ids, ids_in, shoe, shoes

PROJECT = Path(__file__).parents[4]


def start_writer(folder: Path, *batches: str) -> "subprocess.Popen[str]":
    """`writer.py` in a process of its own."""
    command = [sys.executable, "-m", writer.__name__, str(folder), *batches]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def require_whole_batches(store: EmbeddedStore, last: int, *others: str) -> None:
    """The store holds batches 0 to `last`, all of each, but for the removed shoes; and `others`."""
    expected = {record.item.id for number in range(last + 1) for record in writer.batch(number)}
    expected -= {f"{number}-0" for number in range(last)}
    assert ids_in(store) == expected.union(others)
    assert store.vector(writer.LAST)[1] == last
    for item_id in expected - {writer.LAST}:
        number, place = map(int, item_id.split("-"))
        assert store.vector(item_id)[:2].tolist() == [number, place]
        assert store.get(item_id).attributes == {"Batch": (f"{number}",)}


def test_an_acknowledged_write_survives_kill_9(folder: Path) -> None:
    """Over five kills at odd moments: every acknowledged batch is there, and none is there in part."""
    embedded(folder).close()
    for batches_to_wait in (1, 3, 5, 2, 4):
        with start_writer(folder) as process:
            assert process.stdout is not None
            acknowledged = [process.stdout.readline() for _ in range(batches_to_wait)]
            process.kill()
            acknowledged += process.stdout.readlines()
        with closing(EmbeddedStore.open(folder)) as store:
            last = int(store.vector(writer.LAST)[1])
            # A batch may be stored whose acknowledgement the kill cut off, and then its removal may not be.
            assert last - int(acknowledged[-1]) in (0, 1)
            pending = [f"{last - 1}-0"] if last > int(acknowledged[-1]) else []
            require_whole_batches(store, last, *ids_in(store).intersection(pending))


def test_a_write_of_another_process_is_in_the_next_answer(folder: Path) -> None:
    """Both see the same fingerprint as well, and a third one that starts later too."""
    with closing(embedded(folder)) as store:
        store.upsert([shoe("mine", [100.0])])
        before = store.info().fingerprint
        with start_writer(folder, "3") as process:
            assert process.stdout is not None
            assert process.stdout.read().split() == ["0", "1", "2"]
        assert process.returncode == 0
        assert ids(store.search(shoe("query", [2.0, 5.0]).vector[None], 1)[0]) == ["2-5"]
        require_whole_batches(store, 2, "mine")
        assert store.info().fingerprint != before
        with closing(EmbeddedStore.open(folder)) as late:
            assert late.info() == store.info()
            assert late.page(limit=1000) == store.page(limit=1000)
            assert late.facets() == store.facets()


def test_two_instances_write_in_turns(folder: Path) -> None:
    """Each sees what the other has done, replaced and removed, at once."""
    with closing(embedded(folder)) as one, closing(embedded(folder)) as other:
        one.upsert([shoe("a", [1.0]), shoe("b", [2.0])])
        other.upsert([shoe("a", [3.0]), shoe("c", [4.0])])
        assert one.vector("a")[0] == 3.0
        one.delete(["b"])
        # "d" comes and goes unseen by `other`.
        one.upsert([shoe("d", [5.0])])
        one.delete(["d"])
        assert ids_in(other) == {"a", "c"}
        assert one.info() == other.info()
        assert one.page(limit=9) == other.page(limit=9)


def test_two_processes_may_create_one_store(folder: Path) -> None:
    """Whoever comes second opens what the first one made."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: embedded(folder), range(4)))
    assert len({store.info().fingerprint for store in stores}) == 1
    for store in stores:
        store.close()


@pytest.fixture
def busy(folder: Path) -> Iterator[EmbeddedStore]:
    """A store with 500 shoes."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(500))
        yield store


def test_searching_beside_writing_is_consistent(busy: EmbeddedStore) -> None:
    """Each answer is that of one moment: shoes written together are found together, at their one distance."""
    place = shoe("query", [50.0, 50.0]).vector
    done = threading.Event()
    names = [f"moving-{number}" for number in range(10)]
    busy.upsert(shoe(name, place) for name in names)

    def write() -> None:
        for step in range(40):
            offset = shoe("offset", [0.0, 0.0, step % 7]).vector
            if step % 5 == 4:
                busy.delete(names)
            busy.upsert(shoe(name, place + offset, {"Step": (f"{step}",)}) for name in names)
        done.set()

    def read() -> int:
        answers = 0
        while not done.is_set():
            hits = [hit for hit in busy.search(place[None], 10)[0] if hit.item.id in names]
            assert ids(hits) in (names, [])
            assert len({hit.distance for hit in hits}) <= 1
            assert len({hit.item.attributes.get("Step") for hit in hits}) <= 1
            page = busy.page(limit=1000)
            assert len({item.attributes.get("Step") for item in page.items if item.id in names}) <= 1
            assert page.total in (500, 510)
            answers += 1
        return answers

    with ThreadPoolExecutor(5) as pool:
        writing = pool.submit(write)
        readers = [pool.submit(read) for _ in range(4)]
        writing.result()
        assert all(reader.result() > 0 for reader in readers)
    assert ids(busy.search(place[None], 10)[0]) == names


def test_many_threads_write_at_once(busy: EmbeddedStore) -> None:
    """Writers wait for each other, and nothing gets lost."""
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda seed: busy.upsert(shoes(20, seed=seed, prefix=f"thread-{seed}")), range(8)))
    assert counts == [20] * 8
    assert busy.info().count == 500 + 160


def test_conditions_are_made_safely_by_many_threads(busy: EmbeddedStore) -> None:
    """The first searches of a condition may come all at once."""
    query = np.zeros((1, busy.info().dimension), dtype=np.float32)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ids(busy.search(query, 5, condition="closure")[0]), range(32)))
    assert all(answer == answers[0] for answer in answers)


def test_a_store_is_made_while_its_file_is_locked(folder: Path) -> None:
    """Whoever finds the new file locked by another process that makes the store waits, and opens it."""
    folder.mkdir(parents=True)
    other = sqlite3.connect(folder / DATABASE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(embedded, folder)
        with pytest.raises(TimeoutError):
            made.result(timeout=0.3)
        other.execute("ROLLBACK")
        other.close()
        made.result(timeout=30).close()
