"""A catalogue that outgrows exact search: what is made for it, when, by whom, and what happens meanwhile."""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ArtifactError
from service.store.base import OVERALL, Filter, Hit, Record
from service.store.embedded import background, files
from service.store.embedded.store import DATABASE, EmbeddedStore
from service.store.index.ivf import InvertedIndex
from tests.service.store.clusters import cluster_shoes, clusters
from tests.service.store.damages import DAMAGES
from tests.service.store.naive import DIMENSION, SLICES, SPEC, NaiveStore, ids, ids_in, shoe
from tests.support.filters import where

COUNT = 700
EXACT_UP_TO = 500
QUERIES = clusters(COUNT)[::35] + np.float32(0.05)
LOT = where({"Lot": frozenset({"3"})})


def opened(folder: Path, **options: Any) -> EmbeddedStore:
    """A store for which 700 shoes are many."""
    return EmbeddedStore.create(folder, SPEC, **{"exact_shoes": EXACT_UP_TO} | options)


@pytest.fixture(scope="module")
def naive() -> NaiveStore:
    """The shoes that are many."""
    filled = NaiveStore()
    filled.upsert(cluster_shoes(COUNT))
    return filled


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with them, and with an index of each condition."""
    folder = tmp_path_factory.mktemp("grown") / "catalog"
    with closing(opened(folder)) as store:
        store.upsert(cluster_shoes(COUNT))
        store.build_indexes()
    return folder


@pytest.fixture
def grown(template: Path, folder: Path) -> Path:
    """A copy of it."""
    shutil.copytree(template, folder)
    return folder


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors were built an index of, each time."""
    sizes: list[int] = []
    original = InvertedIndex.build

    def counted(vectors: NDArray[np.float32], **options: Any) -> InvertedIndex:
        sizes.append(len(vectors))
        return original(vectors, **options)

    monkeypatch.setattr(InvertedIndex, "build", counted)
    return sizes


def share_found(store: EmbeddedStore, naive: NaiveStore, condition: str = OVERALL) -> float:
    """Recall@10 over some queries, each alone; distances have to be the true ones."""
    found = 0
    for query in QUERIES:
        hits = store.search(query[None], 10, condition=condition)[0]
        start, stop = SLICES.get(condition, (0, DIMENSION))
        for hit in hits:
            vector = naive.records[hit.item.id].vector
            assert hit.distance == pytest.approx(float(np.linalg.norm((vector - query)[start:stop])), abs=1e-5)
        found += len(set(ids(hits)) & set(ids(naive.search(query, 10, condition=condition))))
    return found / (10 * len(QUERIES))


def require_same(hits: list[Hit], expected: list[Hit]) -> None:
    """The same shoes in the same order."""
    assert ids(hits) == ids(expected)
    assert [hit.distance for hit in hits] == pytest.approx([hit.distance for hit in expected])


class TestIndex:
    def test_few_shoes_are_searched_exactly(self, folder: Path, builds: list[int]) -> None:
        """Up to the limit nothing is built, and nothing of it is on disk; the recall is told as 1."""
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(EXACT_UP_TO))
            store.build_indexes()
            assert (store.info().index, store.info().recall) == ("exact", None)
        recalls: dict[str, float] = {}
        EmbeddedStore.open(folder, exact_shoes=EXACT_UP_TO, record_recall=recalls.__setitem__).close()
        assert recalls == dict.fromkeys((OVERALL, *SLICES), 1.0)
        assert not builds
        assert not [*folder.glob("*.faiss")]

    def test_many_shoes_are_found_nearly_all(self, grown: Path, naive: NaiveStore) -> None:
        """By every condition; the recall is told, and is enough."""
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes()
            info = store.info()
            assert info.index == "approximate"
            assert info.recall is not None
            assert info.recall >= 0.98
            for condition in (OVERALL, *SLICES):
                assert share_found(store, naive, condition) >= 0.96

    def test_filtered_searches_are_exact(self, grown: Path, naive: NaiveStore) -> None:
        """A filter's rows are looked at one by one: the ten nearest, in order."""
        filters: tuple[Filter, ...] = (LOT, where({"Lot": frozenset("17"), "Side": frozenset({"left"})}))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes()
            for query in QUERIES:
                for chosen in filters:
                    for condition in (OVERALL, "closure"):
                        expected = naive.search(query, 10, filter=chosen, condition=condition)
                        found = store.search(query[None], 10, filter=chosen, condition=condition)[0]
                        require_same(found, expected)

    def test_the_recall_is_told_to_whoever_watches(self, grown: Path) -> None:
        """Condition by condition, as measured."""
        recalls: dict[str, float] = {}
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO, record_recall=recalls.__setitem__)) as store:
            store.build_indexes()
            assert recalls.keys() == {OVERALL, *SLICES}
            assert recalls[OVERALL] == store.info().recall
            assert all(0.98 <= recall <= 1.0 for recall in recalls.values())

    def test_where_the_recall_cannot_be_had_searches_stay_exact(
        self, grown: Path, naive: NaiveStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says so, once, and so does the store; the answers are right."""
        for path in grown.glob("slice-*"):
            path.unlink()
        rows = np.arange(COUNT)

        def wrong(index: InvertedIndex, queries: NDArray[np.float32], count: int, *, probes: int) -> NDArray[np.int64]:
            found = np.full((len(queries), count), -1)
            found[:, : COUNT // 4] = rows[: min(count, COUNT // 4)]
            return found

        monkeypatch.setattr(InvertedIndex, "candidates", wrong)
        recalls: dict[str, float] = {}
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO, record_recall=recalls.__setitem__)) as store:
            store.build_indexes([OVERALL])
            assert (store.info().index, store.info().recall) == ("exact", None)
            assert share_found(store, naive) == 1.0
            store.build_indexes([OVERALL])
        assert set(recalls.values()) == {1.0}
        assert caplog.text.count("searches stay exact") == 1

    def test_vectors_are_shared(self, grown: Path) -> None:
        """Every condition looks at the one matrix, which is the mapped file."""
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes()
            base = store.current().base
            assert base.digest
            assert base.vectors.shape == (COUNT, DIMENSION)
            for condition in (OVERALL, *SLICES):
                assert np.shares_memory(base.view(condition), base.vectors)
            assert all(np.shares_memory(index.vectors, base.vectors) for index in base.exact.values())


class TestFiles:
    def test_a_start_builds_nothing_again(self, grown: Path, naive: NaiveStore, builds: list[int]) -> None:
        """Vectors and indexes are read from their files."""
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes()
            assert store.current().base.tuned.keys() == {OVERALL, *SLICES}
            assert share_found(store, naive) >= 0.96
        assert not builds

    def test_nor_after_a_few_changes(self, grown: Path, builds: list[int]) -> None:
        """What came after the files were made is read from the truth, and put beside them."""
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.upsert([shoe("new", QUERIES[0]), shoe("shoe-3", QUERIES[1], {"Lot": ("changed",)})])
            store.delete(["shoe-4"])
            store.build_indexes([])
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            assert store.info().index == "approximate"
            assert store.info().count == COUNT
            assert ids(store.search(QUERIES[:1], 1)[0]) == ["new"]
            assert ids(store.search(QUERIES[1:2], 1)[0]) == ["shoe-3"]
            assert "shoe-4" not in ids_in(store)
            assert store.facets()["Lot"]["changed"] == 1
            assert store.facets()["Lot"]["4"] == COUNT // 10 - 1
        assert builds in ([], [COUNT])

    @pytest.mark.parametrize("name", ["vectors.bin", "slice-0-8.faiss"])
    @pytest.mark.parametrize("damage", ["cut at 0.5", "flipped at 0.5", "flipped at 0.001", "zeros", "cut at 0.0"])
    def test_a_torn_file_is_made_anew(
        self, grown: Path, naive: NaiveStore, builds: list[int], name: str, damage: str
    ) -> None:
        """Whichever it is: the answers are right, and the next start finds whole files."""
        (grown / name).write_bytes(DAMAGES[damage]((grown / name).read_bytes()))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            assert store.info().index == "approximate"
            assert share_found(store, naive) >= 0.96
        builds.clear()
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            assert store.current().base.digest
        assert not builds

    def test_files_of_a_later_state_are_not_used(self, grown: Path, folder: Path) -> None:
        """A catalogue that was put back to an earlier state, and then changed otherwise, answers as it is."""
        earlier = (grown / DATABASE).read_bytes()
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.upsert(cluster_shoes(COUNT, seed=1))
            store.build_indexes()
        (grown / DATABASE).write_bytes(earlier)
        other = NaiveStore()
        other.upsert(cluster_shoes(COUNT))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            assert share_found(store, other) >= 0.96
            store.upsert(cluster_shoes(COUNT, seed=2))
            store.upsert(cluster_shoes(10, seed=3, prefix="more"))
        other.upsert(cluster_shoes(COUNT, seed=2))
        other.upsert(cluster_shoes(10, seed=3, prefix="more"))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            assert share_found(store, other) >= 0.96
            assert ids_in(store) == other.records.keys()

    def test_a_higher_recall_needs_another_index(self, grown: Path, builds: list[int]) -> None:
        """One that was good enough for less is not used."""
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO, min_recall=0.995)) as store:
            store.build_indexes([OVERALL])
            recall = store.info().recall
            assert recall is not None
            assert recall >= 0.995
        assert builds == [COUNT]

    def test_a_folder_that_cannot_be_written_is_served_from_memory(
        self, folder: Path, naive: NaiveStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says that files could not be written; the index is there all the same."""

        def full(path: Path, parts: object) -> None:
            raise OSError(28, "No space left on device")

        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
        monkeypatch.setattr(files, "write_parts", full)
        with closing(EmbeddedStore.open(folder, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            assert store.info().index == "approximate"
            assert share_found(store, naive) >= 0.96
        assert "No space left" in caplog.text
        assert not list(folder.glob("*.bin"))

    def test_lie_where_the_link_led_to(self, grown: Path, tmp_path: Path) -> None:
        """What is built after a link was turned to another catalogue lies beside the old one."""
        link, other = tmp_path / "current", tmp_path / "other"
        names = {path.name for path in grown.glob("slice-*")}
        for name in names:
            (grown / name).unlink()
        other.mkdir()
        link.symlink_to(grown)
        with closing(EmbeddedStore.open(link, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            link.unlink()
            link.symlink_to(other)
            store.build_indexes()
        assert not list(other.iterdir())
        assert {path.name for path in grown.glob("slice-*")} == names

    def test_removing_a_store_removes_them(self, grown: Path) -> None:
        """Nothing of the store's own is left."""
        (grown / "pictures.jsonl").touch()
        EmbeddedStore.remove(grown)
        assert [path.name for path in grown.iterdir()] == ["pictures.jsonl"]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Builds wait until it is set."""
    event = threading.Event()
    original = InvertedIndex.build

    def waiting(vectors: NDArray[np.float32], **options: Any) -> InvertedIndex:
        assert event.wait(60)
        return original(vectors, **options)

    monkeypatch.setattr(InvertedIndex, "build", waiting)
    yield event
    event.set()


class TestBackground:
    def test_the_old_serves_while_the_new_is_built(
        self, folder: Path, naive: NaiveStore, gate: threading.Event
    ) -> None:
        """Searches are exact until the index is there, and changes that come meanwhile are not lost."""
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
            assert share_found(store, naive) == 1.0
            assert store.info().index == "exact"
            place = shoe("query", [9.0] * 8).vector
            store.upsert([shoe("new", place), shoe("shoe-1", place + 1)])
            store.delete(["shoe-2"])
            assert ids(store.search(place[None], 2)[0]) == ["new", "shoe-1"]
            gate.set()
            store.build_indexes([OVERALL])
            assert store.info().index == "approximate"
            assert store.info().count == COUNT
            assert ids(store.search(place[None], 2)[0]) == ["new", "shoe-1"]
            assert "shoe-2" not in ids(store.search(clusters(COUNT)[2:3], 5)[0])

    def test_a_condition_is_built_when_it_is_asked_for(self, folder: Path, naive: NaiveStore) -> None:
        """Its first searches are exact; the others' go on as they were."""
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
            store.build_indexes([OVERALL])
            assert store.current().base.tuned.keys() == {OVERALL}
            assert share_found(store, naive, "closure") >= 0.96
            store.build_indexes([])
            assert store.current().base.tuned.keys() == {OVERALL, "closure"}

    def test_closing_gives_a_build_up(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does not wait for what nobody will need."""
        started, stops = threading.Event(), list[Callable[[], bool]]()
        original = InvertedIndex.build

        def endless(vectors: NDArray[np.float32], *, stop: Callable[[], bool], **options: Any) -> InvertedIndex:
            started.set()
            stops.append(stop)
            while not stop():
                threading.Event().wait(0.01)
            return original(vectors, stop=stop, **options)

        monkeypatch.setattr(InvertedIndex, "build", endless)
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
            store.search(QUERIES[:1], 1)
            assert started.wait(60)
        assert stops[0]()
        assert not list(folder.glob("slice-*"))

    def test_a_build_that_fails_leaves_searches_exact(
        self, folder: Path, naive: NaiveStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log has the cause, and it is not tried again and again."""
        tries: list[int] = []

        def failing(vectors: NDArray[np.float32], **options: Any) -> InvertedIndex:
            tries.append(len(vectors))
            raise MemoryError("no memory for it")

        monkeypatch.setattr(InvertedIndex, "build", failing)
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
            store.build_indexes([OVERALL])
            assert share_found(store, naive) == 1.0
            store.build_indexes([OVERALL])
            assert store.info().index == "exact"
        assert tries == [COUNT]
        assert "no memory for it" in caplog.text

    def test_a_read_that_fails_once_ends_nothing(self, grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread goes on, nobody waits for it for ever, and the next search asks for the index again."""
        monkeypatch.setattr(EmbeddedStore, "_request_missing", lambda *_: None)
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            snapshot = store.current()
            with monkeypatch.context() as patch:
                patch.setattr(store, "current", mock.Mock(side_effect=ArtifactError("the disk failed once")))
                store._indexer.build_all([OVERALL], snapshot)
            store.build_indexes([OVERALL])
            assert store.info().index == "approximate"

    def test_several_instances_build_it_once(self, folder: Path, naive: NaiveStore, builds: list[int]) -> None:
        """One makes it, and the others take it from its file; all map the same vectors."""
        with closing(opened(folder)) as store:
            store.upsert(cluster_shoes(COUNT))
        with ExitStack() as stack:
            stores = [stack.enter_context(closing(opened(folder))) for _ in range(4)]
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda store: store.build_indexes([OVERALL]), stores))
            assert builds == [COUNT]
            assert len({store.current().base.digest for store in stores}) == 1
            assert all(share_found(store, naive) >= 0.96 for store in stores)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new base is wanted after few changes."""
    monkeypatch.setattr(background, "PENDING_LEAST", 20)
    monkeypatch.setattr(background, "PENDING_SHARE", 0.0)


@pytest.mark.usefixtures("impatient")
class TestNewBase:
    def test_many_changes_make_a_new_base(self, grown: Path) -> None:
        """It has all that has changed, with the indexes of the old one; nothing is beside it any more."""
        naive = NaiveStore()
        naive.upsert(cluster_shoes(COUNT))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL, "closure"])
            first = store.current().base
            changes = [*cluster_shoes(200, seed=4), *cluster_shoes(300, seed=5, prefix="new")]
            for each in (store, naive):
                each.upsert(changes)
                each.delete([f"shoe-{number}" for number in range(150, 300)])
            assert store.current().pending > 20
            store.search(QUERIES[:1], 1)
            store.build_indexes([])
            snapshot = store.current()
            assert snapshot.pending == 0
            assert snapshot.base.seq == snapshot.seq > first.seq
            assert snapshot.base.tuned.keys() == {OVERALL, "closure"}
            assert snapshot.base.tuned[OVERALL] is not first.tuned[OVERALL]
            assert share_found(store, naive) >= 0.96
            assert {name: dict(values) for name, values in naive.facets().items()} == store.facets()
            require_same(store.search(QUERIES[:1], 10, filter=LOT)[0], naive.search(QUERIES[0], 10, filter=LOT))
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            assert store.current().pending == 0
            assert ids_in(store) == naive.records.keys()

    def test_another_instance_takes_it_over(self, grown: Path, builds: list[int]) -> None:
        """Whoever is second finds it on disk, and builds nothing."""
        with (
            closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as one,
            closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as other,
        ):
            for store in (one, other):
                store.build_indexes([OVERALL])
            one.upsert(cluster_shoes(100, seed=6, prefix="new"))
            for store in (one, other):
                store.search(QUERIES[:1], 1)
                store.build_indexes([])
                assert store.current().pending == 0
            assert builds == [COUNT + 100]
            assert one.current().base.digest == other.current().base.digest
            assert ids_in(one) == ids_in(other)

    def test_few_that_are_left_are_searched_exactly_again(self, grown: Path) -> None:
        """A catalogue that shrinks needs no index."""
        naive = NaiveStore()
        naive.upsert(cluster_shoes(COUNT))
        gone = [f"shoe-{number}" for number in range(EXACT_UP_TO - 50, COUNT)]
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            for each in (store, naive):
                each.delete(gone)
            store.search(QUERIES[:1], 1)
            store.build_indexes([])
            assert store.info().index == "exact"
            assert share_found(store, naive) == 1.0

    def test_searching_beside_writing_and_building_is_consistent(self, grown: Path) -> None:
        """Every answer is that of one moment, through several new bases; nothing is lost, and nothing comes back."""
        place = shoe("query", [9.0] * 8).vector
        names = [f"moving-{number}" for number in range(10)]
        done = threading.Event()
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            store.build_indexes([OVERALL])
            first = store.current().base.seq

            def moving(step: int) -> Iterator[Record]:
                offset = np.float32(0.01 * (step % 7))
                yield from (shoe(name, place + offset, {"Step": (f"{step}",)}) for name in names)

            def write() -> None:
                for step in range(60):
                    if step % 5 == 4:
                        store.delete(names)
                    store.upsert(moving(step))
                    store.upsert([shoe(f"more-{step}", [-9.0] * 8)])
                    if step % 20 == 19:
                        store.build_indexes([])
                done.set()

            def read() -> int:
                answers = 0
                while not done.is_set():
                    hits = [hit for hit in store.search(place[None], 12)[0] if hit.item.id in names]
                    assert ids(hits) in (names, [])
                    assert len({hit.item.attributes["Step"] for hit in hits}) <= 1
                    answers += 1
                return answers

            with ThreadPoolExecutor(4) as pool:
                writing = pool.submit(write)
                readers = [pool.submit(read) for _ in range(3)]
                writing.result()
                assert all(reader.result() > 0 for reader in readers)
            store.search(place[None], 1)
            store.build_indexes([])
            assert store.current().base.seq > first
            assert ids(store.search(place[None], 10)[0]) == names
            assert store.info().count == COUNT + 10 + 60
        with closing(EmbeddedStore.open(grown, exact_shoes=EXACT_UP_TO)) as store:
            assert store.info().count == COUNT + 10 + 60
            assert ids(store.search(place[None], 10)[0]) == names


def test_a_large_catalogue_says_so_in_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """How many shoes, by which condition, with what recall and in how many seconds."""
    with caplog.at_level(logging.INFO), closing(opened(folder)) as store:
        store.upsert(cluster_shoes(COUNT))
        store.build_indexes([OVERALL])
    assert "an index of 700 shoes by overall, recall@10 " in caplog.text
