"""What a store in Milvus keeps to beyond the contract: several replicas, and Milvus going away."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactCorrupt, ArtifactMismatch, ArtifactMissing, QueryError
from service.catalog.maintenance.reembed import save_uploads
from service.errors import StoreUnavailable
from service.milvus_address import Address
from service.store import factory
from service.store.base import Record, StoreSpec
from tests.service.store.naive import CHECKPOINT, DIMENSION, ROOT, NaiveStore, ids, shoe, shoes
from tests.support.filters import where

pytest.importorskip("pymilvus")

from pymilvus import DataType, MilvusClient, MilvusException

from service.store.milvus.store import MilvusStore


def create(address: Address, checkpoint: str = CHECKPOINT, **slices: tuple[int, int]) -> MilvusStore:
    """The store at `address`, made or opened."""
    return MilvusStore.open(address, create=StoreSpec.of(DIMENSION, slices, checkpoint, ROOT))


@pytest.fixture
def store(address: Address) -> Iterator[MilvusStore]:
    """An empty one, as in `conftest`."""
    with closing(MilvusStore.open(address)) as made:
        yield made


class TestReplicas:
    def test_what_was_read_after_a_write_has_it(self, store: MilvusStore) -> None:
        """Inserts, replacements, patches and removals are in the next answers of the store that made them."""
        for number in range(3):
            store.upsert([shoe("a", [number], {"Round": (f"{number}",)}), shoe(f"new-{number}", [9.0])])
            assert store.vector("a")[0] == number
            assert store.facets()["Round"] == {f"{number}": 1}
            assert ids(store.search(shoe("query", [number]).vector[None], 1)[0]) == ["a"]
            store.patch("a", {"Round": ("none",)})
            assert store.get("a").attributes == {"Round": ("none",)}
            assert store.delete([f"new-{number}"]) == 1
            assert store.page(limit=10).total == store.info().count == 1

    def test_reads_that_are_strong_have_what_others_have_written(self, store: MilvusStore, address: Address) -> None:
        """With `consistency=strong`, and with the same fingerprint on both sides."""
        with closing(MilvusStore.open(replace(address, strong=True))) as other:
            for number in range(3):
                store.upsert([shoe("a", [number], {"Round": (f"{number}",)}), shoe(f"new-{number}", [9.0])])
                assert other.vector("a")[0] == number
                assert other.facets()["Round"] == {f"{number}": 1}
                assert other.info() == store.info()
                assert other.delete([f"new-{number}"]) == 1
            assert [item.id for item in other.page(limit=10).items] == ["a"]

    def test_many_writers_at_once(self, store: MilvusStore, address: Address) -> None:
        """Several replicas insert shoes, and all of them the same one: each shoe is there once, and none is lost."""

        def work(name: str) -> None:
            with closing(MilvusStore.open(address)) as replica:
                for start in range(0, 30, 10):
                    replica.upsert(shoe(f"{name}-{start + place}", [place], {"By": (name,)}) for place in range(10))
                    replica.upsert([shoe("shared", [1.0], {"Last": (name,)})])

        names = ["one", "two", "three"]
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(work, names))
        with closing(MilvusStore.open(replace(address, strong=True))) as reader:
            facets = reader.facets()
            assert facets["By"] == dict.fromkeys(sorted(names), 30)
            assert len(facets["Last"]) == 1
            page = reader.page(limit=1000)
        assert len({item.id for item in page.items}) == page.total == 91


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
            create(address, checkpoint="facade", **store.info().slices)

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
        slices = store.info().slices
        MilvusStore.remove(address)
        with closing(create(address, CHECKPOINT, **slices)) as fresh:
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


class TestFilters:
    def test_many_values_take_few_queries(self, store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether shoes have them is not asked once for each; one that none has is found among them, and named."""
        store.upsert(shoe(f"shoe-{number}", [1.0], {"Title": (f"{number}",)}) for number in range(300))
        titles = {f"{number}" for number in range(300)}
        asked = []
        query = MilvusClient.query

        def count(self: MilvusClient, *arguments: Any, **options: Any) -> Any:
            asked.append(options["filter"])
            return query(self, *arguments, **options)

        monkeypatch.setattr(MilvusClient, "query", count)
        assert store.page(limit=1, filter=where({"Title": frozenset(titles)})).total == 300
        assert len(asked) < 20
        with pytest.raises(QueryError, match="unknown value 'none' of 'Title'"):
            store.page(limit=1, filter=where({"Title": frozenset({*titles, "none"})}))


class TestAway:
    def test_refuses_until_it_is_back(self, store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """While Milvus is away, all that the store is asked is refused with a time to wait; then it answers again."""
        store.upsert([shoe("a", [1.0])])
        gone = threading.Event()
        gone.set()
        for name in ("query", "describe_collection"):
            monkeypatch.setattr(MilvusClient, name, failing_while(gone, getattr(MilvusClient, name)))
        asked: tuple[Callable[[], object], ...] = (
            store.info,
            lambda: store.search(shoe("query", [1.0]).vector[None], 1),
            lambda: store.upsert([shoe("b", [1.0])]),
        )
        for ask in asked:
            with pytest.raises(StoreUnavailable) as caught:
                ask()
            assert caught.value.retry_after >= 1
        gone.clear()
        wait_until_answered(store)
        assert [item.id for item in store.page(limit=5).items] == ["a"]

    def test_nobody_there(self) -> None:
        """Where no server is, opening says so in seconds, and does not name the host to clients."""
        with pytest.raises(StoreUnavailable) as caught:
            MilvusStore.open(Address("http://127.0.0.1:9", "shoes"))
        assert "127.0.0.1" not in str(caught.value)


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
        for condition in ("overall", *store.info().slices):
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
