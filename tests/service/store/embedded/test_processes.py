"""Several processes and threads on one catalogue; `tests/system/test_durability.py` kills such processes."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from service.store.embedded.store import DATABASE, EmbeddedStore
from tests.service.store.conftest import embedded
from tests.service.store.naive import ids, ids_in, shoe, shoes


def change(folder: Path) -> None:
    """In a process of its own: add shoes, and remove one of them."""
    with closing(EmbeddedStore.open(folder)) as store:
        store.upsert(shoe(f"theirs-{number}", [number, 5.0]) for number in range(10))
        store.delete(["theirs-0"])


def test_a_write_of_another_process_is_in_the_next_answer(folder: Path) -> None:
    """Both see the same fingerprint as well, and a third one that starts later too."""
    with closing(embedded(folder)) as store:
        store.upsert([shoe("mine", [100.0])])
        before = store.info().fingerprint
        process = get_context("spawn").Process(target=change, args=(folder,))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert ids(store.search(shoe("query", [2.0, 5.0]).vector[None], 1)[0]) == ["theirs-2"]
        assert ids_in(store) == {"mine", *(f"theirs-{number}" for number in range(1, 10))}
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
        made.result(timeout=120).close()
