"""What a store in Milvus keeps to beyond the contract: replicas, changes that were cut short, and Milvus going away."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model.errors import ArtifactCorrupt, ArtifactMismatch, ArtifactMissing, QueryError
from service.catalog.maintenance.reembed import save_uploads
from service.errors import ItemExists, StoreBusy, StoreUnavailable
from service.milvus_address import Address
from service.store import factory
from service.store.base import Record
from service.store.milvus import claims, versions
from tests.service.store.naive import CHECKPOINT, DIMENSION, ROOT, SLICES, NaiveStore, ids, shoe, shoes
from tests.support.filters import where

pytest.importorskip("pymilvus")

from pymilvus import DataType, MilvusClient, MilvusException

from service.store.milvus.store import MilvusStore


def create(address: Address, checkpoint: str = CHECKPOINT) -> MilvusStore:
    """The store at `address`, made or opened."""
    return MilvusStore.create(address, dimension=DIMENSION, slices=SLICES, checkpoint=checkpoint, root=ROOT)


@pytest.fixture
def store(address: Address) -> Iterator[MilvusStore]:
    """An empty one."""
    with closing(create(address)) as made:
        yield made


@contextmanager
def long_ago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is claimed and decided in here was so a minute ago."""
    # Not `time.time` itself, from which gRPC works out its deadlines.
    clock = SimpleNamespace(
        time=lambda: time.time() - 60, time_ns=time.time_ns, monotonic=time.monotonic, sleep=time.sleep
    )
    with monkeypatch.context() as patch:
        for module in (claims, versions):
            patch.setattr(module, "time", clock)
        yield


class TestReplicas:
    def test_an_acknowledged_write_is_in_the_others_next_answer(self, store: MilvusStore, address: Address) -> None:
        """Inserts, replacements, patches and removals; with the same fingerprint on both sides."""
        with closing(MilvusStore.open(address)) as other:
            for round_ in range(3):
                store.upsert([shoe("a", [round_], {"Round": (f"{round_}",)}), shoe(f"new-{round_}", [9.0])])
                assert other.vector("a")[0] == round_
                assert other.facets()["Round"] == {f"{round_}": 1}
                assert ids(other.search(shoe("query", [round_]).vector[None], 1)[0]) == ["a"]
                other.patch("a", {"Round": ("none",)})
                assert store.get("a").attributes == {"Round": ("none",)}
                assert store.info() == other.info()
                assert other.delete([f"new-{round_}"]) == 1
                assert store.page(limit=10).total == 1
        assert [item.id for item in store.page(limit=10).items] == ["a"]

    def test_many_writers_at_once(self, store: MilvusStore, address: Address) -> None:
        """Several replicas insert, and patch one shoe, at once: nothing is lost, and no number is given out twice."""
        store.upsert([shoe("shared", [1.0])])

        def work(name: str) -> None:
            with closing(MilvusStore.open(address)) as replica:
                replica.upsert(shoe(f"{name}-{place}", [place], {"By": (name,)}) for place in range(30))
                replica.patch("shared", {name: ("was here",)})

        names = ["one", "two", "three"]
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(work, names))
        assert store.facets()["By"] == dict.fromkeys(sorted(names), 30)
        assert store.get("shared").attributes == dict.fromkeys(sorted(names), ("was here",))
        page = store.page(limit=1000)
        assert len({item.id for item in page.items}) == page.total == 91

    def test_of_many_who_insert_one_shoe_one_succeeds(self, store: MilvusStore, address: Address) -> None:
        """Without leave to overwrite there is one who put it there, and the others are told."""

        def insert(number: int) -> bool:
            with closing(MilvusStore.open(address)) as replica:
                while True:
                    try:
                        replica.upsert([shoe("a", [number])], overwrite=False)
                    except ItemExists:
                        return False
                    except StoreBusy:  # on a slow machine the others may take long
                        continue
                    return True

        with ThreadPoolExecutor(4) as pool:
            succeeded = list(pool.map(insert, range(4)))
        assert succeeded.count(True) == 1
        assert store.vector("a")[0] == succeeded.index(True)
        assert store.info().count == 1


class TestRebuild:
    def test_uploaded_shoes_are_written_down(
        self, store: MilvusStore, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before a rebuild removes the collections, to be embedded anew; a second run adds to the file."""
        monkeypatch.setattr(factory, "parse_address", {"milvus://there/shoes": address}.__getitem__)
        items = [replace(shoe(name, [1.0]).item, image=f"/uploads/{name}.png") for name in ("b", "c")]
        store.upsert([shoe("a", [1.0]), *(Record(item, shoe("", [1.0]).vector) for item in items)])
        assert [item.id for item in factory.list_shoes(tmp_path, "milvus://there/shoes")] == ["a", "b", "c"]
        save_uploads(tmp_path, "milvus://there/shoes")
        store.delete(["b"])
        save_uploads(tmp_path, "milvus://there/shoes")
        saved = [json.loads(line) for line in (tmp_path / "uploaded-shoes.jsonl").read_text().splitlines()]
        assert saved == [[item.id, item.image, {}] for item in items]

    def test_nothing_is_removed_while_milvus_is_away(self, tmp_path: Path) -> None:
        """Shoes that could not be written down are no reason to go on without them."""
        with pytest.raises(StoreUnavailable):
            save_uploads(tmp_path, "milvus://127.0.0.1:1/shoes")


class TestFacts:
    def test_another_checkpoint_is_refused(self, store: MilvusStore, address: Address) -> None:
        """The vectors of two checkpoints don't belong together; the message names both."""
        with pytest.raises(ArtifactMismatch, match=r"checkpoint.*c0ffee.*facade"):
            create(address, checkpoint="facade")

    def test_no_store(self, store: MilvusStore, address: Address) -> None:
        """Where nothing was made, the message names the command."""
        with pytest.raises(ArtifactMissing, match="service index"):
            MilvusStore.open(replace(address, collection="nothing_here"))

    def test_a_collection_that_is_somebody_elses(self, store: MilvusStore, address: Address) -> None:
        """It is neither read nor written to."""
        client = MilvusClient(address.uri)
        schema = MilvusClient.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
        client.create_collection("test_solemate_alien", schema=schema)
        try:
            with pytest.raises(ArtifactCorrupt, match="no catalogue of solemate"):
                MilvusStore.open(replace(address, collection="test_solemate_alien"))
        finally:
            client.drop_collection("test_solemate_alien")
            client.close()

    def test_one_that_was_made_anew_is_not_mixed_up(self, store: MilvusStore, address: Address) -> None:
        """Who has the old one open does not answer out of the new one, whose vectors may be another checkpoint's."""
        store.upsert([shoe("a", [1.0])])
        MilvusStore.remove(address)
        with closing(create(address)) as fresh:
            assert fresh.info().count == 0
            with pytest.raises(StoreUnavailable, match="made anew"):
                store.search(shoe("query", [1.0]).vector[None], 1)


class TestTexts:
    @pytest.mark.parametrize(
        "text",
        ['"]) or number > 0 or array_contains(tokens, ["', "' or 1 == 1 or '", "\\", "\0", "%", "{}", "größe", "👠"],
    )
    def test_nothing_is_taken_for_an_expression(self, store: MilvusStore, text: str) -> None:
        """Whatever ids, attributes and values hold, they name just themselves."""
        store.upsert([shoe(text, [1.0], {text: (text, "x")}), shoe("other", [2.0], {"x": ("y",)})])
        assert store.get(text).id == text
        assert [item.id for item in store.page(limit=5, filter=where({text: frozenset({text})})).items] == [text]
        with pytest.raises(QueryError, match="unknown value"):
            store.page(limit=5, filter=where({text: frozenset({text, "y"})}))
        assert store.delete([text]) == 1
        assert [item.id for item in store.page(limit=5).items] == ["other"]


class TestCutShort:
    """The process that makes a change ends after the decision: another finishes it."""

    @pytest.fixture
    def torn(self, store: MilvusStore, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
        """Shoe "a" is being replaced, "b" removed and "c" inserted, and of all that only the decision was made."""
        store.upsert([shoe("a", [1.0]), shoe("b", [2.0])])
        changes: list[Callable[[MilvusStore], int]] = [
            lambda dying: dying.upsert([shoe("a", [5.0]), shoe("c", [3.0])]),
            lambda dying: dying.delete(["b"]),
        ]
        for change in changes:
            with closing(MilvusStore.open(address)) as dying, long_ago(monkeypatch):
                monkeypatch.setattr(dying._editor, "_make", fail_with(KeyboardInterrupt))
                with pytest.raises(KeyboardInterrupt):
                    change(dying)

    def test_readers_wait_for_it_and_have_it_finished(self, torn: None, store: MilvusStore) -> None:
        """Until it is finished they are told to try again, as shoes may be missing; then they see all of it."""
        with pytest.raises(StoreUnavailable, match="being finished"):
            store.info()
        wait_until_answered(store)
        assert [item.id for item in store.page(limit=5).items] == ["a", "c"]
        assert (store.vector("a")[0], store.vector("c")[0]) == (5.0, 3.0)
        assert ids(store.search(shoe("query", [5.0]).vector[None], 5, condition="category")[0]) == ["a", "c"]

    def test_writers_of_the_same_shoes_finish_it(self, torn: None, store: MilvusStore) -> None:
        """Whoever wants to change one of the shoes does what was decided before, and then their own."""
        store.patch("c", {"Gender": ("Men",)})
        store.upsert([shoe("b", [7.0])])
        wait_until_answered(store)
        assert [item.id for item in store.page(limit=5).items] == ["a", "c", "b"]
        assert store.vector("c")[0] == 3.0
        assert store.get("c").attributes == {"Gender": ("Men",)}

    def test_one_that_was_not_decided_is_forgotten(
        self, store: MilvusStore, address: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who dies before the decision leaves a claim and a journal behind, and no change."""
        store.upsert([shoe("a", [1.0])])
        with closing(MilvusStore.open(address)) as dying, long_ago(monkeypatch):
            monkeypatch.setattr(dying._versions, "decide", fail_with(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                dying.upsert([shoe("a", [5.0])])
        assert store.vector("a")[0] == 1.0
        store.patch("a", {"Gender": ("Men",)})
        assert store.vector("a")[0] == 1.0
        assert store._editor._claims.all(0) == []


class TestAway:
    def test_refuses_at_once_and_recovers(self, store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the first calls that find nobody, all are refused at once; when Milvus is back, so is the store."""
        store.upsert([shoe("a", [1.0])])
        gone = threading.Event()
        gone.set()
        for name in ("query", "describe_collection"):
            monkeypatch.setattr(MilvusClient, name, failing_while(gone, getattr(MilvusClient, name)))
        with pytest.raises(StoreUnavailable):
            store.info()
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreUnavailable) as caught:
                store.search(shoe("query", [1.0]).vector[None], 1)
            assert caught.value.retry_after >= 1
        assert time.monotonic() - began < 5
        gone.clear()
        wait_until_answered(store)
        assert store.info().count == 1

    def test_a_blip_is_nobodys_business(self, store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call that fails once is made again."""
        store.upsert([shoe("a", [1.0])])
        whole = MilvusClient.query
        failures = iter([True, False, True])

        def query(client: MilvusClient, *arguments: Any, **options: Any) -> Any:
            if next(failures, False):
                raise MilvusException(message="a blip")
            return whole(client, *arguments, **options)

        monkeypatch.setattr(MilvusClient, "query", query)
        assert store.get("a").id == "a"

    def test_nobody_there(self) -> None:
        """Where no server is, opening says so in seconds, and does not name the host to clients."""
        with pytest.raises(StoreUnavailable) as caught:
            MilvusStore.open(Address("http://127.0.0.1:9", "shoes"))
        assert "127.0.0.1" not in str(caught.value)


def test_more_shoes_than_one_answer_holds_are_counted(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facets of many shoes, which Milvus counts, are those of few, which are read."""
    store.upsert(shoes(120))
    read = store.facets(), store.facets(where({"Gender": frozenset({"Women"})}))
    store.upsert([shoe("last", [1.0], {"Gender": ("Women",)})])
    store.delete(["last"])
    monkeypatch.setattr("service.store.milvus.attributes.WINDOW", 50)
    assert (store.facets(), store.facets(where({"Gender": frozenset({"Women"})}))) == read


def test_old_and_new_segments_are_one_catalogue(store: MilvusStore, address: Address) -> None:
    """Shoes that Milvus has put away, those that came since, and those that were replaced or removed since."""
    naive = NaiveStore()
    store.upsert(shoes(300))
    naive.upsert(shoes(300))
    client = MilvusClient(address.uri)
    for name in client.list_collections():
        if name.startswith(address.collection):
            client.flush(name)
    client.close()
    changed = [replace(record, vector=record.vector * 0.9) for record in shoes(300)[:20]]
    gone = [f"shoe-{number}" for number in range(10, 60, 7)]
    for each in (store, naive):
        each.upsert(changed)
        each.upsert(shoes(30, seed=7, prefix="new"))
        each.delete(gone)
    for query in (*(record.vector for record in changed), *(record.vector for record in shoes(20, seed=9))):
        for condition in ("overall", "category"):
            hits = store.search(query[None], 10, condition=condition)[0]
            assert ids(hits) == ids(naive.search(query, 10, condition=condition))
    found, cursor = [], None
    while True:
        page = store.page(limit=7, cursor=cursor)
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == list(naive.records)
    assert store.facets() == naive.facets()


def fail_with(error: type[BaseException]) -> Callable[..., None]:
    """A function that raises it."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


def failing_while(gone: threading.Event, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the client that finds nobody while `gone` is set."""

    def call(*arguments: Any, **options: Any) -> Any:
        if gone.is_set():
            raise MilvusException(message="fail to connect")
        return method(*arguments, **options)

    return call


def wait_until_answered(store: MilvusStore) -> None:
    """Ask until there is an answer; fails after a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            store.info()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
